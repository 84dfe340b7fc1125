"""Check of a sticky policy: sessions stay, and move only when their worker is down."""

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lbsim.policy import Policy
from lbsim.teach.checks.verdict import CheckFailed, Verdict, contract
from lbsim.teach.checks.watch import Choice, choices_of

if TYPE_CHECKING:
    from lbsim.cluster import Cluster
    from lbsim.workload import Workload

__all__ = ["sticky"]

WORKERS, SESSIONS, REQUESTS = 5, 300, 9000
CRASHES = ((1, 6.0), (3, 18.0))  # worker, at
RESTART_S = 5.0


class Move(NamedTuple):
    """A session's worker changed."""

    key: int
    placed: Choice
    """When it came to that worker."""
    before: Choice
    """Its last request there."""
    after: Choice
    """Its first request elsewhere."""


def sticky(policy: Policy) -> Verdict:
    """Check that a session keeps its worker, survives its crash, and disturbs nobody else.

    Raises
    ------
    CheckFailed
        With the first session that moved though it need not, or where the moved ones went.
    """
    verdict = Verdict("a sticky policy that survives a crash")
    contract(policy, verdict)
    workload, cluster = _scene()
    _, log = choices_of(policy, workload, cluster)
    _check_all_placed(log)
    moves = _moves(log)
    _check_no_needless_move(moves)
    verdict.ok(f"{SESSIONS} sessions kept their worker as long as it was up")
    for worker, at in CRASHES:
        _check_spread(worker, at, moves, verdict)
    _check_balance(log, verdict)
    return verdict


def _scene() -> "tuple[Workload, Cluster]":
    from lbsim.cluster import Cluster
    from lbsim.faults import Crash, Faults
    from lbsim.workload import Exponential, Sessions, Workload

    cluster = Cluster(
        WORKERS, faults=Faults(*(Crash(w, at) for w, at in CRASHES), restart_s=RESTART_S)
    )
    workload = Workload.synthetic(
        REQUESTS,
        service=Exponential(0.005),
        sessions=Sessions(SESSIONS, zipf=0.3),
        load=0.3,
        cluster=cluster,
        seed=6,
    )
    return workload, cluster


def _check_all_placed(log: list[Choice]) -> None:
    for choice in log:
        if choice.worker < 0:
            raise CheckFailed(
                f"at t = {choice.time:.2f} s your policy did not place session {_name(choice.key)} "
                f"(it answered {choice.worker}) though workers {list(choice.up)} were up; when a "
                "session's worker is down, choose another one"
            )


def _moves(log: list[Choice]) -> list[Move]:
    placed: dict[int, Choice] = {}
    last: dict[int, Choice] = {}
    moves = []
    for choice in log:
        before = last.get(choice.key)
        if before is not None and before.worker != choice.worker:
            moves.append(Move(choice.key, placed[choice.key], before, choice))
        if before is None or before.worker != choice.worker:
            placed[choice.key] = choice
        last[choice.key] = choice
    return moves


def _check_no_needless_move(moves: list[Move]) -> None:
    """A session may leave a worker that is down, and go to one that was down when it was placed.

    The second is what a hash does that has no memory: the session goes (back) to where it would be
    if nobody had crashed.
    """
    needless = [
        move
        for move in moves
        if move.before.worker in move.after.up and move.after.worker in move.placed.up
    ]
    if not needless:
        return
    first = needless[0]
    text = (
        f"session {_name(first.key)} was at worker {first.before.worker} at t = "
        f"{first.before.time:.2f} s and went to worker {first.after.worker} at t = "
        f"{first.after.time:.2f} s, though worker {first.before.worker} was up all the time"
    )
    others = len({move.key for move in needless})
    text += f" ({others} of {SESSIONS} sessions moved without need)"
    if first.after.time > CRASHES[0][1]:
        text += (
            f". It began when worker {CRASHES[0][0]} crashed or came back: then the length of "
            "cluster.up changes, and with it hash % len(cluster.up) for nearly every session"
        )
    else:
        text += ". No worker had crashed yet: where does your policy keep a session's worker?"
    raise CheckFailed(text)


def _check_spread(worker: int, at: float, moves: list[Move], verdict: Verdict) -> None:
    """The sessions of a dead worker must not all fall on one other."""
    gone = [m for m in moves if m.before.worker == worker and at < m.after.time < at + RESTART_S]
    counts = Counter(m.after.worker for m in gone)
    if not counts:
        raise CheckFailed(
            f"worker {worker} crashed at t = {at:g} s, and none of its sessions went elsewhere: it "
            "had none. Your policy does not use all workers"
        )
    heir, most = counts.most_common(1)[0]
    if len(gone) >= 10 and most > 0.6 * len(gone):
        raise CheckFailed(
            f"worker {worker} crashed at t = {at:g} s, and {most} of its {len(gone)} sessions all "
            f"went to worker {heir}, which has twice the work now; spread them over all "
            f"workers that are up"
        )
    verdict.ok(
        f"worker {worker} crashed at t = {at:g} s: its {len(gone)} active sessions went to workers "
        + ", ".join(f"{w} ({n})" for w, n in sorted(counts.items()))
    )


def _check_balance(log: list[Choice], verdict: Verdict) -> None:
    home: dict[int, int] = {}
    for choice in log:
        if choice.time < CRASHES[0][1]:
            home[choice.key] = choice.worker
    counts = Counter(home.values())
    worker, most = counts.most_common(1)[0]
    if most > 1.8 * len(home) / WORKERS:
        raise CheckFailed(
            f"before the first crash worker {worker} had {most} of {len(home)} sessions, where "
            f"{len(home) / WORKERS:.0f} would be fair; keys are 64-bit numbers of any pattern: "
            "mix them with lbsim.hash64(key, salt) before you compare or divide"
        )
    verdict.ok(f"no worker had more than {most} of {len(home)} sessions before the first crash")


def _name(key: int) -> str:
    return f"{key:x}"[:6]
