"""The master: one process, one epoll loop; what it does with requests is in `live.desk`."""

import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from lbsim.policy import Policy
from live import channel
from live.admin import Admin
from live.desk import CAPACITY, Desk
from live.front import Front
from live.ipc import Post
from live.listener import address_of, listen
from live.onlooker import Onlooker
from live.options import Options, check
from live.status import snapshot
from live.supervisor import Supervisor
from live.worker import Door

__all__ = ["Master"]

TICK_S = 0.05
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)


class Master:
    """A pre-fork server whose workers are chosen by an `lbsim` policy.

    Parameters
    ----------
    load : str or callable
        ``module:app``, imported in each worker, or a function that returns an ASGI app.
    policy : Policy
        Not changed. Must not be an oracle.
    workers : int
    host, port : str, int
        Port 0 takes a free one; `address` tells.
    **options
        See `live.options.Options`.
    """

    def __init__(
        self,
        load: str | Callable[[], Any],
        policy: Policy,
        workers: int,
        host: str = "127.0.0.1",
        port: int = 0,
        **options: Any,
    ) -> None:
        self.options = Options(**options)
        most = workers if self.options.most_workers is None else self.options.most_workers
        check(policy, workers, most)
        mode = self.options.mode
        listener = listen(host, port, self.options.backlog, share=mode == "reuseport")
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self.poller = select.epoll()
        self.handlers: dict[int, Callable[[int], object]] = {}
        self.signals: list[int] = []
        self.stop_by = math.inf
        self.next_tick = 0.0
        self.born = time.monotonic()
        self.policy = policy
        self.desk: Desk | Onlooker
        if self.options.is_kernel_s:
            self.desk = Onlooker(most, self.options)
        else:
            self.desk = Desk(policy, most, self.options, int(listener.family))
        self.journal = self.desk.journal
        self.counts, self.log = self.journal.counts, self.journal.log
        self.front = Front(
            listener, self.poller, self.handlers, self.counts,
            head_s=self.options.head_s, most=CAPACITY, whole=mode == "message",
        )  # fmt: skip
        self.front.is_closed = self.options.is_kernel_s
        where = None if self.options.admin is None else address_of(self.options.admin)
        self.admin = Admin(self.poller, self.handlers, lambda: snapshot(self), where)
        door = Door(listener, mode, self.options.exclusive, self.options.backlog)
        self.crew = Supervisor(
            self.desk, workers, most, load, self.poller, self.handlers,
            needs_ack=self.desk.needs_ack, cookie=self.desk.cookie, ledger=self.desk.ledger,
            door=door if self.options.is_kernel_s else None,
            hang_s=self.options.hang_s, drain_s=self.options.drain_s,
            memory_limit=self.options.memory_limit,
        )  # fmt: skip
        self.post = Post(self.crew, self.counts)
        self.hooks[channel.MESSAGE] = self.post.forward
        if isinstance(self.desk, Desk):
            self.desk.front, self.desk.crew = self.front, self.crew
            self.front.arrive = self.desk.arrive

    @property
    def hooks(self) -> dict[int, Callable[[int, channel.Message], None]]:
        """What to do with kinds of messages from workers that the desk does not know."""
        return self.desk.hooks

    @property
    def is_draining(self) -> bool:
        """Whether it has been asked to stop."""
        return self.stop_by < math.inf

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the process's exit status."""
        # What every worker needs is loaded before they are forked: they boot in half the time, and
        # share the memory. The application is not: a reload must find new code.
        import live.asgi  # noqa: F401

        for number in SIGNALS:
            signal.signal(number, lambda number, _: self.signals.append(number))
        status = 0
        self.log(
            "listening", host=self.address[0], port=self.address[1], pid=os.getpid(),
            mode=self.options.mode, admin=self.admin.address,
        )  # fmt: skip
        if self.options.is_kernel_s:
            self.log(
                "note",
                text=f"in mode {self.options.mode} the kernel chooses the worker: "
                f"{self.policy!r} is not asked, and no request is dispatched again",
            )
        else:
            self.front.resume()
        try:
            while not self._is_done():
                self._turn()
            if self.crew.is_hopeless:
                sys.stderr.write(
                    "the workers cannot start, so the master stops; "
                    f"the last one said:\n{self.crew.error}"
                )
                status = 3
        finally:
            self._end()
        return status

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self.next_tick or self.signals:
            self.next_tick = now + TICK_S
            self._tick(now)
            self.desk.flush()
        for descriptor, events in self.poller.poll(0.0 if self.front.fresh else TICK_S):
            handler = self.handlers.get(descriptor)
            if handler is not None:  # else closed by an earlier event of this turn
                handler(events)
        self.desk.flush()
        if self.front.fresh:
            self.front.read_fresh()
            self.desk.flush()

    def _tick(self, now: float) -> None:
        """Do what need not be done at once."""
        while self.signals:
            self._obey(self.signals.pop(0), now)
        is_quiet = self.desk.is_quiet and not self.front.reading
        if self.stop_by < math.inf and not self.crew.is_stopping and is_quiet:
            self.crew.stop()
        self.crew.manage_workers(now)
        self.front.expire(now)
        self.admin.expire(now)
        self.desk.tick(now)
        if self.journal.trace is not None:
            self.journal.trace.flush()

    def _obey(self, number: int, now: float) -> None:
        if number == signal.SIGHUP:
            self.log("reload")
            self.crew.reload()
        elif number in (signal.SIGTTIN, signal.SIGTTOU):  # as in gunicorn
            self.crew.scale(1 if number == signal.SIGTTIN else -1)
        elif self.stop_by == math.inf:
            self.log("drain")
            self.stop_by = now + self.options.drain_s
            self.front.stop()
        else:  # asked twice
            self.stop_by = now

    def _is_done(self) -> bool:
        if self.stop_by == math.inf:
            return self.crew.is_hopeless
        gone = self.crew.is_stopping and self.crew.is_empty and not self.front.lingering
        return gone or time.monotonic() > self.stop_by

    def _end(self) -> None:
        self.crew.murder_workers()
        self.crew.close()
        self.desk.close()
        self.front.close_all()
        self.admin.close()
        self.poller.close()
        if self.journal.trace is not None:
            self.journal.trace.close()
        self.log("stopped", restarts=self.crew.restarts, **self.counts)
