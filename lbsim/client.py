"""Clients: how long they wait, and what they do then."""

from dataclasses import dataclass

from lbsim import checks
from lbsim.errors import InputError

__all__ = ["TAKE_BACK", "Client"]

TAKE_BACK = ("nothing", "held", "queued", "service")
"""What is taken back when a client gives a request up: each word includes the ones before."""


@dataclass(frozen=True, repr=False)
class Client:
    """What a client does when its answer is late.

    Parameters
    ----------
    timeout : float, optional
        Seconds from sending until the client gives this try up. None: never.
    retries : int, default 0
        How many times it sends the request again after a timeout, a loss or a refusal.
    backoff : float, default 0
        Seconds before the first retry; each further one waits `backoff_factor` times as long.
    backoff_factor : float, default 2
    jitter : float, default 0
        Each wait is spread evenly over ± this share of itself.
    hedge_after : float, optional
        Seconds after which a second copy is sent while the first is still under way; the
        first answer counts (Dean and Barroso, "The tail at scale", CACM 2013).
    take_back : {"held", "nothing", "queued", "service"}
        What becomes of a copy nobody waits for any more. "nothing": it is served as if wanted.
        "held": it is dropped if it is still with the master, which sees that its connection
        has been closed. "queued": dropped also from a worker's queue. "service": also stopped
        in the middle of service (at an event loop only between its steps, since a handler
        that blocks cannot be stopped).

    Notes
    -----
    The master does not know that two copies belong together, so a hedge may be sent to the
    same worker as the first copy.
    """

    timeout: float | None = None
    retries: int = 0
    backoff: float = 0.0
    backoff_factor: float = 2.0
    jitter: float = 0.0
    hedge_after: float | None = None
    take_back: str = "held"

    def __post_init__(self) -> None:
        for name in ("timeout", "hedge_after"):
            if getattr(self, name) is not None:
                checks.positive("Client", name, getattr(self, name))
        checks.count("Client", "retries", self.retries, least=0)
        checks.not_negative("Client", "backoff", self.backoff)
        checks.positive("Client", "backoff_factor", self.backoff_factor)
        checks.share("Client", "jitter", self.jitter)
        if self.take_back not in TAKE_BACK:
            raise InputError(
                f"Client: take_back = {self.take_back!r} is not known; "
                f"give one of {', '.join(TAKE_BACK)}"
            )

    def __repr__(self) -> str:
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name, about in self.__dataclass_fields__.items()
            if getattr(self, name) != about.default
        ]
        return f"Client({', '.join(shown)})"

    @property
    def copies(self) -> int:
        """Copies of a request that may be sent at most."""
        return (1 + self.retries) * (1 if self.hedge_after is None else 2)
