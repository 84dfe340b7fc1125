"""What the load generator is to do, as plain numbers and bytes that fit in one file."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lbsim import checks
from lbsim.client import Client
from lbsim.errors import InputError

if TYPE_CHECKING:
    from lbsim.workload import Workload

__all__ = ["KEY_FROM", "Task"]

KEY_FROM = ("query", "header", "cookie", "ip")
"""Where a request carries its session key. "ip": each key has a source address of its own."""

_LOOPBACK_HOSTS = (1 << 24) - 3  # 127.0.0.2 to 127.255.255.254


@dataclass(frozen=True)
class Task:
    """Requests with their times, and how patient the clients are.

    Made by `of`. Ticket ``row * copies + j`` is copy j of the request of that row, as in the
    simulator (`lbsim.engines.plan.Plan`).

    Attributes
    ----------
    address : (str, int)
        Host (an IP address) and port.
    path : str
        Of the URL, without the query.
    arrival : ndarray of float64, shape (n,)
        When each request is due, in seconds from the start; NaN in a closed loop.
    think : ndarray of float64, shape (n,)
        Closed loop: seconds its client thinks before it sends the request.
    clients : int
        Closed loop: how many; else 0. Row ``k * clients + c`` is request k of client c.
    query : tuple of bytes
        Of each row: the query without the ticket, and header fields after it.
    body : ndarray of int64, shape (n,)
        Bytes of each request's body; those with a body are sent by PUT.
    source : ndarray of int64, shape (n,)
        Number of the source address, 0 for the usual one.
    client : Client
        Timeout, retries, hedging.
    jitter_seed : int
    keep_alive : bool
        Whether connections are used again. By default each request has its own.
    grace_s : float
        When nothing is to be sent any more and nothing has happened for so long, the requests
        that are still open are called unfinished.
    """

    address: tuple[str, int]
    path: str
    arrival: np.ndarray
    think: np.ndarray
    clients: int
    query: tuple[bytes, ...]
    body: np.ndarray
    source: np.ndarray
    client: Client
    jitter_seed: int = 0
    keep_alive: bool = False
    grace_s: float = 60.0

    @classmethod
    def of(
        cls,
        workload: "Workload",
        address: tuple[str, int],
        client: Client | None = None,
        *,
        path: str = "/work",
        key_from: str = "query",
        miss_s: float = 0.0,
        jitter_seed: int = 0,
        keep_alive: bool = False,
        grace_s: float = 60.0,
    ) -> "Task":
        """Describe how a workload is sent to a server.

        Every request's query names its ticket (``id``) and what it asks for (``cpu_ms``,
        ``wait_ms``), and what a master may know of it (``kind``, ``priority``, ``size``, ``key``).

        Parameters
        ----------
        workload : Workload
        address : (str, int)
        client : Client, optional
            Waits for ever by default.
        path : str, default "/work"
        key_from : {"query", "header", "cookie", "ip"}
            How the key is sent: ``key=``, ``X-Key:``, ``Cookie: key=``, or as an address.
        miss_s : float, default 0
            What a session that is elsewhere costs, in seconds (``miss_ms``).
        jitter_seed : int, default 0
            Of the retries' jitter.
        keep_alive : bool, default False
        grace_s : float, default 60
        """
        if key_from not in KEY_FROM:
            raise InputError(
                f"key_from = {key_from!r} is not known; give one of {', '.join(KEY_FROM)}"
            )
        clients = workload.n_clients
        return cls(
            address,
            path,
            workload.arrival,
            workload.think if clients else np.zeros(len(workload)),
            clients,
            _queries(workload, key_from, address, keep_alive, miss_s),
            workload.payload.astype(np.int64),
            np.where(
                (workload.key >= 0) & (key_from == "ip"), 1 + workload.key % _LOOPBACK_HOSTS, 0
            ),
            Client() if client is None else client,
            jitter_seed,
            keep_alive,
            checks.positive("Task", "grace_s", grace_s),
        )

    @property
    def n(self) -> int:
        """How many requests."""
        return len(self.query)

    @property
    def copies(self) -> int:
        """Tickets per request."""
        return self.client.copies

    def request(self, ticket: int) -> bytes:
        """Return the bytes of a ticket's request."""
        row = ticket // self.copies
        body = int(self.body[row])
        if not body:
            return b"GET %s?id=%d%s\r\n\r\n" % (self.path.encode(), ticket, self.query[row])
        return b"PUT %s?id=%d%s\r\nContent-Length: %d\r\n\r\n%s" % (
            self.path.encode(), ticket, self.query[row], body, bytes(body),
        )  # fmt: skip

    def rows_of(self, part: int, parts: int) -> np.ndarray:
        """Return the rows of one of several processes."""
        of_whom = np.arange(self.n) % self.clients if self.clients else np.arange(self.n)
        return np.flatnonzero(of_whom % parts == part)

    # --- files -------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything to one file that holds no code."""
        lengths = np.array([len(query) for query in self.query], np.int64)
        others = {
            "address": self.address,
            "path": self.path,
            "clients": self.clients,
            "client": vars(self.client),
            "jitter_seed": self.jitter_seed,
            "keep_alive": self.keep_alive,
            "grace_s": self.grace_s,
        }
        np.savez(
            path,
            others=np.array(json.dumps(others)),
            text=np.frombuffer(b"".join(self.query), np.uint8),
            lengths=lengths,
            arrival=self.arrival,
            think=self.think,
            body=self.body,
            source=self.source,
        )

    @classmethod
    def load(cls, path: Path) -> "Task":
        """Read what `save` has written."""
        with np.load(path, allow_pickle=False) as file:
            others = json.loads(str(file["others"]))
            text = file["text"].tobytes()
            ends = np.cumsum(file["lengths"]).tolist()
            return cls(
                (others["address"][0], others["address"][1]),
                others["path"],
                file["arrival"],
                file["think"],
                others["clients"],
                tuple(text[a:b] for a, b in zip([0, *ends], ends, strict=False)),
                file["body"],
                file["source"],
                Client(**others["client"]),
                others["jitter_seed"],
                others["keep_alive"],
                others["grace_s"],
            )

    def at(self, address: tuple[str, int]) -> "Task":
        """Return the same task for another server."""
        return replace(self, address=address)


def _queries(
    workload: "Workload",
    key_from: str,
    address: tuple[str, int],
    keep_alive: bool,
    miss_s: float,
) -> tuple[bytes, ...]:
    """Return what follows the ticket in each request: the rest of the query, and the fields."""
    fields = f" HTTP/1.1\r\nHost: {address[0]}:{address[1]}" + (
        "" if keep_alive else "\r\nConnection: close"
    )
    ends = []
    for cpu, wait, kind, priority, size, key in zip(
        workload.cpu.tolist(),
        workload.wait.tolist(),
        workload.kind.tolist(),
        workload.priority.tolist(),
        workload.size.tolist(),
        workload.key.tolist(),
        strict=True,
    ):
        query = f"&cpu_ms={cpu * 1e3:.6f}"
        if wait:
            query += f"&wait_ms={wait * 1e3:.6f}"
        if kind:
            query += f"&kind={kind}"
        if priority:
            query += f"&priority={priority}"
        if size == size:  # not NaN
            query += f"&size={size!r}"
        end = fields
        if key >= 0 and miss_s > 0:
            query += f"&miss_ms={miss_s * 1e3:.6f}"
        if key >= 0:
            if key_from == "query":
                query += f"&key={key}"
            elif key_from == "header":
                end += f"\r\nX-Key: {key}"
            elif key_from == "cookie":
                end += f"\r\nCookie: key={key}"
        ends.append((query + end).encode())
    return tuple(ends)
