"""The workers' lives: spawn, reap, murder, manage (gunicorn's verbs), reload, drain.

The supervisor knows processes and channels; what a death means for requests is the master's
business, told through `Owner`.
"""

import contextlib
import functools
import math
import mmap
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from live import channel, worker
from live.cookies import Cookie
from live.forked import close_all_but
from live.slot import BOOTING, DOWN, FAILED, LEAVING, RETIRED, UP, Health, Owner, Worker

__all__ = ["Supervisor"]

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 10.0
HEALTHY_S = 1.0  # a worker that lived so long, or served a request, clears the backoff
MOST_FAILED_BOOTS = 5
PAUSE_S = 1.0  # the longest time between two looks at the workers that is no accident
NO_FORK_S = 1.0  # wait for so long if the system has no process or descriptor for a worker


class Supervisor:
    """Keeps workers alive.

    Parameters
    ----------
    owner : Owner
    n, most : int
        Workers at the start, and the largest number that `scale` may reach.
    load : str or callable
        See `live.worker.Orders`.
    poller, handlers
        The master's loop: descriptors and who is called for them.
    needs_ack : bool
    door : Door or None
        Where workers accept for themselves.
    cookie : Cookie or None
        Set on answers to requests that bring none.
    ledger : mmap or None
        See `live.worker.Orders`.
    hang_s : float or None
        A worker silent for so long is killed; None: never.
    drain_s : float
        A worker that is leaving and has not done so by then is killed.
    memory_limit : float or None
        A worker with more bytes resident is replaced when it has finished what it has.
    """

    def __init__(
        self,
        owner: Owner,
        n: int,
        most: int,
        load: str | Callable[[], Any],
        poller: select.epoll,
        handlers: dict[int, Callable[[int], object]],
        *,
        needs_ack: bool,
        door: worker.Door | None,
        cookie: Cookie | None,
        ledger: mmap.mmap | None,
        hang_s: float | None,
        drain_s: float,
        memory_limit: float | None,
    ) -> None:
        self.owner = owner
        self.load = load
        self.poller = poller
        self.handlers = handlers
        self.needs_ack = needs_ack
        self.door = door
        self.cookie = cookie
        self.ledger = ledger
        self.hang_s = hang_s
        self.drain_s = drain_s
        self.memory_limit = memory_limit
        self.workers = [Worker(i) for i in range(most)]
        for w in self.workers[n:]:
            w.state = RETIRED
        to_read, self.common_way = channel.pipe()
        self.reports = channel.Reports(to_read)  # on connections, of all workers
        self._watch(to_read, select.EPOLLIN, self._hear_all)
        self.managed = math.inf
        self.restarts = 0
        self.has_failed = False
        self.error = ""
        self.reload_queue: deque[int] = deque()
        self.reloading = -1
        self.is_stopping = False
        self.due: list[Worker] = []  # whose outbox is to be sent at the end of this turn

    # --- the loop's call -------------------------------------------------------------------

    def manage_workers(self, now: float) -> None:
        """Start who is due, replace who hangs, go on with a reload."""
        unseen = now - self.managed
        self.managed = now
        if unseen > PAUSE_S:  # the master itself was stopped: nobody is silent for that
            for w in self.workers:
                w.beat = min(w.beat + unseen, now)
        for w in self.workers:
            if w.state == DOWN and now >= w.restart_at and not self.is_stopping:
                self.spawn_worker(w, now)
            elif self.hang_s is not None and w.is_alive and now - w.beat > self.hang_s:
                self.owner.log("hung", worker=w.index, pid=w.pid)
                w.beat = now  # one signal is enough
                os.kill(w.pid, signal.SIGKILL)
            elif w.state == LEAVING and now > w.leave_by:
                self.owner.log("stays", worker=w.index, pid=w.pid)
                w.leave_by = math.inf
                os.kill(w.pid, signal.SIGKILL)
        while self.reloading < 0 and self.reload_queue and not self.is_stopping:
            w = self.workers[self.reload_queue.popleft()]
            if w.state in (UP, FAILED):
                self.reloading = w.index
                self._dismiss(w)

    @property
    def is_hopeless(self) -> bool:
        """Whether no worker lives and none can be booted."""
        # Cheap in the usual case, because the loop asks every turn.
        return self.has_failed and {w.state for w in self.workers} <= {FAILED, RETIRED}

    @property
    def is_empty(self) -> bool:
        """Whether no process is left."""
        return not any(w.is_alive for w in self.workers)

    # --- verbs -----------------------------------------------------------------------------

    def spawn_worker(self, w: Worker, now: float) -> None:
        """Fork a worker into an empty slot."""
        orders = worker.Orders(
            self.load, w.index, os.getpid(), self.needs_ack, self.door, self.cookie, self.ledger
        )
        to_read = to_write = -1
        try:
            mine, theirs = channel.pair()
            to_read, to_write = channel.pipe()
            pid = os.fork()
        except OSError as error:  # no process or no descriptor to be had just now
            for descriptor in (to_read, to_write):
                if descriptor >= 0:
                    os.close(descriptor)
            self.owner.log("not_spawned", worker=w.index, reason=str(error))
            w.restart_at = now + NO_FORK_S
            return
        if pid == 0:
            # Keep no sibling's channel, no client's socket: they would never see an end.
            keep = [theirs.fileno(), to_write, self.common_way]
            close_all_but(keep + ([] if self.door is None else [self.door.fileno()]))
            worker.run(theirs, channel.Ways(self.common_way, to_write), orders)
        theirs.close()
        os.close(to_write)
        mine.setblocking(False)
        w.pid, w.end, w.state = pid, mine, BOOTING
        w.reports = channel.Reports(to_read)
        w.pidfd = os.pidfd_open(pid)
        w.born = w.beat = now
        w.has_served = False
        w.lives += 1
        w.leave_by = math.inf
        w.health = Health()
        self._watch(w.pidfd, select.EPOLLIN, lambda _: self.reap_worker(w))
        self._watch(to_read, select.EPOLLIN, functools.partial(self._talk, w, w.reports))
        self.owner.log("spawned", worker=w.index, pid=pid)

    def reap_worker(self, w: Worker) -> None:
        """A worker's process has ended: bury it, hear its last words, plan the next."""
        assert w.end is not None
        assert w.reports is not None
        now = time.monotonic()
        # What it said before it died still holds.
        while self._hear_all():
            pass
        with contextlib.suppress(BlockingIOError):  # its child may still hold the other end
            while self._listen(w, w.reports):
                pass
        _, status = os.waitpid(w.pid, 0)
        if w.is_full:
            w.is_full = False
            self._unwatch(w.end.fileno())
        for descriptor in (w.pidfd, w.reports.to_read):
            self._unwatch(descriptor)
            os.close(descriptor)
        w.end.close()
        w.outbox.clear()
        was, w.state = w.state, DOWN
        code = os.waitstatus_to_exitcode(status)
        self.owner.log("exited", worker=w.index, pid=w.pid, code=code)
        self.restarts += not self.is_stopping
        w.restart_at = now
        if was == BOOTING and not self.is_stopping:
            self._boot_failed(w)
        elif was != LEAVING:
            w.crashes = 1 if w.has_served or now - w.born >= HEALTHY_S else w.crashes + 1
        if w.crashes > 1 and was != LEAVING:
            w.restart_at += min(FIRST_BACKOFF_S * 2 ** (w.crashes - 2), LONGEST_BACKOFF_S)
        if w.is_retiring:
            w.is_retiring, w.state = False, RETIRED
            if w.index == self.reloading:
                self.reloading = -1
        self.owner.worker_is_down(w.index, was == LEAVING)

    def _boot_failed(self, w: Worker) -> None:
        w.crashes += 1
        w.failed_boots += 1
        if w.failed_boots >= MOST_FAILED_BOOTS:
            w.state = FAILED
            self.has_failed = True
            self.owner.log("failed", worker=w.index, traceback=self.error)
            # A reload must not replace workers that serve by ones that cannot.
            self.reload_queue.clear()
            self.reloading = -1

    def murder_workers(self) -> None:
        """Kill whoever is left and wait for each."""
        self.is_stopping = True
        for w in self.workers:
            if w.is_alive:
                os.kill(w.pid, signal.SIGKILL)
                end = select.poll()
                end.register(w.pidfd, select.POLLIN)
                end.poll()
                self.reap_worker(w)

    def close(self) -> None:
        """Close what is common to all workers; none is left."""
        self._unwatch(self.reports.to_read)
        for descriptor in (self.reports.to_read, self.common_way):
            os.close(descriptor)

    def reload(self) -> None:
        """Replace all workers, one after another."""
        self.reload_queue = deque(w.index for w in self.workers if w.state != RETIRED)

    def scale(self, change: int) -> None:
        """Add a worker (1) or let the last one leave (-1), within limits."""
        if change > 0:
            for w in self.workers:
                if w.state == RETIRED:
                    w.state, w.restart_at, w.crashes, w.failed_boots = DOWN, 0.0, 0, 0
                    self.owner.log("scaled", worker=w.index, change=1)
                    return
        else:
            staying = [w for w in self.workers if w.state != RETIRED and not w.is_retiring]
            if len(staying) > 1:
                w = staying[-1]
                self.owner.log("scaled", worker=w.index, change=-1)
                if w.is_alive:
                    w.is_retiring = True
                    self._dismiss(w)
                else:
                    w.state = RETIRED
                return
        self.owner.log("not_scaled", change=change, most=len(self.workers))

    def stop(self) -> None:
        """Let every worker finish what it has and leave."""
        self.is_stopping = True
        for w in self.workers:
            self._dismiss(w)

    def _dismiss(self, w: Worker) -> None:
        if w.state == UP:
            w.state = LEAVING
            w.leave_by = time.monotonic() + self.drain_s
            self.owner.worker_is_leaving(w.index)
            self.send(w.index, channel.pack(channel.DRAIN))
        elif w.state == FAILED:
            w.state, w.failed_boots = DOWN, 0
        elif w.state == BOOTING and (self.is_stopping or w.is_retiring):
            os.kill(w.pid, signal.SIGKILL)

    # --- channels --------------------------------------------------------------------------

    def hand(self, index: int, message: bytes, sock: socket.socket | None = None) -> None:
        """Send a message to a worker, maybe with a socket, when this turn ends (`flush`)."""
        w = self.workers[index]
        if not w.outbox:
            self.due.append(w)
        w.outbox.append((message, sock))

    def send(self, index: int, message: bytes) -> None:
        """Send a message to a worker at once, or when its channel has room."""
        self.hand(index, message)
        self.flush()

    def flush(self) -> None:
        """Send what is due to workers, in one packet each."""
        due, self.due = self.due, []
        for w in due:
            if not w.is_full and not self._flush(w):
                self._await_room(w)

    def _flush(self, w: Worker) -> bool:
        """Send what waits; return whether no more than a dead worker keeps it from leaving."""
        assert w.end is not None
        outbox = w.outbox
        while outbox:
            messages: list[bytes] = []
            descriptors: list[int] = []
            taken = size = 0
            for message, sock in outbox:
                size += len(message)
                if taken and (taken == channel.MOST or size > channel.LARGEST):
                    break
                taken += 1
                if sock is None:
                    messages.append(message)
                elif (descriptor := sock.fileno()) >= 0:  # who is answered already has none
                    messages.append(message)
                    descriptors.append(descriptor)
            try:
                if messages:
                    channel.send(w.end, messages, descriptors)
            except BlockingIOError:
                return False
            except (BrokenPipeError, ConnectionResetError):
                return True  # the pidfd tells, and its requests go elsewhere
            if taken == len(outbox):
                outbox.clear()
            else:
                for _ in range(taken):
                    outbox.popleft()
        return True

    def _await_room(self, w: Worker) -> None:
        """Go on with a worker's outbox when its channel has room."""
        assert w.end is not None
        end = w.end.fileno()

        def has_room(_: int) -> None:
            if self._flush(w):
                w.is_full = False
                self._unwatch(end)

        w.is_full = True
        self._watch(end, select.EPOLLOUT, has_room)

    def _talk(self, w: Worker, reports: channel.Reports, _: int) -> None:
        if not self._listen(w, reports):
            self.poller.modify(reports.to_read, 0)  # its end; the pidfd follows

    def _hear_all(self, _: int = 0) -> bool:
        """Take what workers have reported on connections; say whether there was any."""
        try:
            messages = self.reports.receive()
        except BlockingIOError:  # a worker's end, earlier in this turn, has taken it
            return False
        for message in messages or ():
            w = self.workers[message.sender]
            w.has_served = True
            self.owner.worker_says(w.index, message)
        return True

    def _listen(self, w: Worker, reports: channel.Reports) -> bool:
        """Take what a worker has written into its own pipe; say whether there may be more."""
        messages = reports.receive()
        if messages is None:
            return False
        for message in messages:
            if message.kind < channel.BEAT and message.kind != channel.READY:
                w.has_served = True
                self.owner.worker_says(w.index, message)
            else:
                self._hear(w, message)
        return True

    def _hear(self, w: Worker, message: channel.Message) -> None:
        """A worker speaks of itself."""
        w.beat = time.monotonic()
        if message.kind == channel.BEAT:
            busy = w.hear_beat(message)
            if not math.isnan(busy):
                self.owner.worker_reports(w.index, busy)
            too_much = self.memory_limit is not None and w.health.resident > self.memory_limit
            if too_much and w.state == UP and w.index not in self.reload_queue:
                self.owner.log("memory", worker=w.index, pid=w.pid, bytes=int(w.health.resident))
                self.reload_queue.append(w.index)  # one after another, as in a reload
        elif message.kind == channel.FAILED:
            self.error = message.payload.decode()
        elif message.kind == channel.READY:
            w.state = UP
            w.failed_boots = 0
            if w.index == self.reloading:
                self.reloading = -1
            self.owner.worker_is_up(w.index)
            if self.is_stopping or w.is_retiring:
                self._dismiss(w)
        else:
            self.owner.worker_says(w.index, message)

    def _watch(self, descriptor: int, events: int, handler: Callable[[int], object]) -> None:
        self.handlers[descriptor] = handler
        self.poller.register(descriptor, events)

    def _unwatch(self, descriptor: int) -> None:
        self.poller.unregister(descriptor)
        del self.handlers[descriptor]
