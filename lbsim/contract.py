"""The contract test of policies: run it on your own class before you compare it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lbsim import checked
from lbsim.client import Client
from lbsim.cluster import Cluster
from lbsim.errors import InputError, PolicyError
from lbsim.faults import Crash, Fault, Hang, Reload, SlowDown
from lbsim.policy import Policy
from lbsim.run import Run

__all__ = ["PolicyCheck", "check_policy"]

# Primes, so that a counter that one run leaves behind is somewhere else when the next begins.
REQUESTS = 397
MANY = 1499  # in one scene, for what goes wrong only after a while


@dataclass(frozen=True)
class PolicyCheck:
    """What was checked, in plain words.

    Attributes
    ----------
    policy : Policy
    passed : list of str
    notes : list of str
        What is not wrong, but good to know.
    """

    policy: Policy
    passed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        lines = [f"{self.policy!r} keeps the contract:"]
        lines += [f"  ok    {line}" for line in self.passed]
        lines += [f"  note  {line}" for line in self.notes]
        return "\n".join(lines)


def check_policy(policy: Policy, seed: int = 0) -> PolicyCheck:
    """Check that a policy keeps its contract, or explain where it does not.

    Parameters
    ----------
    policy : Policy
        An object, not a class.
    seed : int, default 0
        Of the workloads it is tried on.

    Returns
    -------
    PolicyCheck
        Its repr lists what was checked.

    Raises
    ------
    PolicyError
        At the first violation; the message gives the time, the rule and the remedy.

    Examples
    --------
    >>> import lbsim
    >>> class Second(lbsim.Policy):
    ...     def choose(self, request, cluster):
    ...         return cluster.up[1]
    >>> lbsim.check_policy(Second())
    Traceback (most recent call last):
        ...
    lbsim.errors.PolicyError: with 1 worker: Second.choose raised IndexError: index 1 is out of...
    """
    if not isinstance(policy, Policy):
        kind = policy if isinstance(policy, type) else type(policy)
        if issubclass(kind, Policy):
            raise InputError(f"{kind.__name__} is a class, not an object; give {kind.__name__}()")
        raise InputError(
            f"{kind.__name__} is not a kind of lbsim.Policy; write class {kind.__name__}"
            "(lbsim.Policy), with a method choose(self, request, cluster)"
        )
    report = PolicyCheck(policy)
    _check_parameters(policy)
    report.passed.append("stores its parameters, so that it can be copied for every run")
    for scene, cluster, client in _scenes():
        before = _state(policy)
        try:
            first = _run(policy, scene, cluster, client, seed)
        except PolicyError:
            raise
        except InputError as error:
            report.notes.append(f"{scene}: not tried, since prepare() refuses: {error}")
            continue
        after = _state(policy)
        if after != before:
            name = next(n for n in {**before, **after} if before.get(n) != after.get(n))
            raise PolicyError(
                f"{scene}: a run changed {name} of the policy object that was given, or of its "
                f"class (from {before.get(name, 'nothing')} to {after.get(name, 'nothing')}), so "
                "the next run would begin where this one ended; make what changes in prepare(), "
                "as attributes of self, not as class attributes or globals"
            )
        _check_repeats(first, _run(policy, scene, cluster, client, seed), scene)
        _check_all_served(first, scene)
        report.passed.append(f"{scene}: valid choices, the same again, no request forgotten")
    if not policy.oracle and "service" in type(policy).choose.__code__.co_names:
        report.notes.append(
            "choose() names `service`: request.service is NaN unless the class says oracle = True"
        )
    if policy.oracle:
        report.notes.append("it reads the true service time (oracle), so it cannot be run live")
    return report


def _scenes() -> Iterator[tuple[str, Cluster, Client]]:
    yield "with 1 worker", Cluster(1), Client()
    yield "with 2 workers", Cluster(2), Client()
    yield "with 5 unequal workers", Cluster(5, speeds=[1, 1, 2, 2, 4]), Client()
    crashes = (Crash(0, 1.0), Crash(1, 1.0), Crash(2, 1.0), Crash(1, 4.0), Crash(0, 5.0))
    yield "with 3 workers that all crash and come back", Cluster(3, faults=crashes), Client()
    troubles: list[Fault] = [
        Reload(0.5),
        SlowDown(2, 1.0, 1.0, 0.5),
        Hang(1, 2.5, 0.5),
        Crash(3, 3.0),
    ]
    yield (
        "with a reload, a hang and an event loop",
        Cluster(4, faults=troubles, discipline="event_loop", accept_s=1e-4, turn_s=1e-4),
        Client(),
    )
    yield (
        "with few slots and clients that time out, retry and hedge",
        Cluster(4, slots=3, discipline="ps"),
        Client(timeout=2.0, retries=1, hedge_after=0.5, take_back="service"),
    )
    yield "with old load information", Cluster(60, info_delay_s=0.05), Client()


def _run(policy: Policy, scene: str, cluster: Cluster, client: Client, seed: int) -> Run:
    from lbsim.simulate import simulate
    from lbsim.workload import Workload

    rng = np.random.default_rng(seed)
    n = MANY if cluster.workers == 5 else REQUESTS
    gaps = rng.exponential(0.1 / (0.8 * cluster.capacity), n)
    service = rng.exponential(0.1, n)
    workload = Workload.from_arrays(
        np.cumsum(gaps),
        service,
        wait=rng.exponential(0.02, n),
        key=rng.integers(0, 40, n),
        kind=rng.integers(0, 2, n),
        priority=rng.integers(0, 3, n),
        size=np.where(rng.random(n) < 0.1, np.nan, service),
    )
    try:
        return simulate(workload, policy, cluster, engine="readable", seed=seed, client=client)
    except PolicyError as error:
        raise PolicyError(f"{scene}: {error}") from error


def _check_parameters(policy: Policy) -> None:
    twin = policy.clone()
    if repr(twin) != repr(policy):
        raise PolicyError(
            f"a copy of {policy!r} is {twin!r}: the constructor changes a parameter; store "
            "each as it is given, and convert in prepare()"
        )


def _check_repeats(first: Run, second: Run, scene: str) -> None:
    differs = np.flatnonzero(first.worker != second.worker)
    if len(differs):
        i = int(differs[0])
        raise PolicyError(
            f"{scene}: two runs with the same seed differ: request {i} went to worker "
            f"{first.worker[i]}, then to worker {second.worker[i]}; draw only from cluster.rng, "
            "and make all state in prepare(), so that no run sees what another left behind"
        )


def _check_all_served(run: Run, scene: str) -> None:
    unfinished = np.flatnonzero(np.isnan(run.finished))
    if len(unfinished):
        i = int(unfinished[0])
        raise PolicyError(
            f"{scene}: request {i} (arrived at t = {run.arrival[i]:.6g} s) was held and nobody "
            "ever took it, although all workers came back; let some worker's may_take() accept "
            "it, or return SHED to refuse it"
        )


def _state(policy: Policy) -> dict[str, str]:
    """Return what must not change: the object's own attributes and its class's."""
    guarded = checked.guarded(type(policy))  # type: ignore[arg-type]  # classes are hashable
    own = {name: _shortly(value) for name, value in vars(policy).items()}
    shared = {
        name: _shortly(value)
        for kind in reversed(guarded.__mro__[:-1])
        for name, value in vars(kind).items()
        if not callable(value) and not name.startswith("__")
    }
    return {**shared, **own}


def _shortly(value: Any) -> str:
    text = repr(value)
    # The whole text is compared, so that a long list that grows is seen; its hash stands for it.
    return text if len(text) <= 40 else f"{text[:40]}… ({len(text)} characters, {hash(text):x})"
