"""Join the shortest queue, exactly, for a few workers; and the bounded kind, JBSQ(k).

No closed form is known. Both are solved as Markov chains over the *sorted* queue lengths, for
it does not matter which of equal workers has which queue. Poisson arrivals, exponential service.
"""

import math
from itertools import combinations_with_replacement

import numpy as np

from lbsim import checks
from lbsim.errors import InputError
from lbsim.stats.samples import FloatArray
from lbsim.theory.stability import stable_load

__all__ = ["jbsq_mean", "jsq_mean"]

_STATES = 800
_MOST_WORKERS = 8


def jsq_mean(workers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the mean sojourn time when each request joins a shortest queue, in seconds.

    Queue length counts the request in service; ties are settled in any way.

    Parameters
    ----------
    workers : int
        From 1 to 8. For many workers see `lbsim.theory.power_of_d`, or simulate.
    arrival_rate, service_rate : float
        λ in all, and μ of one worker, per second.

    Returns
    -------
    float
        A lower bound. At loads up to 0.99 it is relatively off by at most 2e-6 for up to 5
        workers, 3e-5 for 6 and 1e-3 for 7 and 8; at lower loads by far less.

    Notes
    -----
    The chain lives on (shortest queue m, how much longer the others are). Differences above a
    threshold are rare and are cut off by moving a request from the longest to the shortest queue
    (threshold jockeying: Adan, van Houtum and van der Wal, "Upper and lower bounds for the
    waiting time in the symmetric shortest queue system", Annals of Operations Research 48, 1994).
    What is left repeats from level m to m + 1: a quasi-birth-death process, π(m) = π(0) R^m,
    solved by logarithmic reduction (Latouche and Ramaswami 1993).

    Examples
    --------
    >>> round(jsq_mean(2, 1.8, 1.0), 6)
    5.474913
    """
    workers = checks.count("jsq_mean", "workers", workers)
    load = stable_load("JSQ", arrival_rate, workers * service_rate)
    if workers == 1:
        return 1.0 / (service_rate - arrival_rate)
    if workers > _MOST_WORKERS:
        raise InputError(
            f"jsq_mean: workers = {workers} make too many states, at most {_MOST_WORKERS} can be "
            "solved; use the limit of many workers (power_of_d_mean), or simulate"
        )
    # In units of the mean service time.
    states, up, local, down = _jsq_blocks(workers, workers * load)
    rate = np.diag((up + local + down).sum(axis=1))
    inner = local - rate
    # On the lowest level a shortest queue is empty: what would go down does not happen.
    lowest = local - np.diag((up + local).sum(axis=1))
    r = _rate_matrix(up, inner, down)
    identity = np.eye(len(states))
    geometric = np.linalg.inv(identity - r)
    start = _null_vector(lowest + r @ down)
    start /= (start @ geometric).sum()
    longer = states.sum(axis=1).astype(np.float64)
    levels = start @ geometric
    shortest = float((start @ r @ geometric @ geometric).sum())
    number = workers * shortest + float(levels @ longer)
    return number / arrival_rate


def jbsq_mean(bound: int, workers: int, arrival_rate: float, service_rate: float) -> float:
    """Return the mean sojourn time of JBSQ(k), in seconds.

    A request joins a shortest queue if that holds fewer than k requests, the one in service
    included; else the master holds it, first come first served, until a place falls free.

    Parameters
    ----------
    bound : int
        k. 1 is a central queue, M/M/c; as it grows, join-the-shortest-queue.
    workers : int
        Up to some 5,000 sorted states, (workers + k)! / (workers! k!), are solved.
    arrival_rate, service_rate : float
        λ in all, and μ of one worker, per second.

    Notes
    -----
    Once every worker has k requests, the number held is geometric with ratio ρ, so the chain is
    finite and exact. JBSQ: Kogias et al., "R2P2: Making RPCs first-class datacenter citizens",
    USENIX ATC 2019.

    Examples
    --------
    >>> round(jbsq_mean(2, 4, 3.6, 1.0), 6)
    3.15906
    """
    bound = checks.count("jbsq_mean", "bound", bound)
    workers = checks.count("jbsq_mean", "workers", workers)
    load = stable_load("JBSQ", arrival_rate, workers * service_rate)
    if math.comb(workers + bound, bound) > 5000:
        raise InputError(
            f"jbsq_mean: {workers} workers with up to {bound} requests make more than 5000 "
            "states; lower the bound, or simulate"
        )
    states = list(combinations_with_replacement(range(bound + 1), workers))
    place = {state: i for i, state in enumerate(states)}
    flow = np.zeros((len(states), len(states)))
    for i, state in enumerate(states):
        if state[0] < bound:
            flow[i, place[_moved(state, 0, +1)]] += workers * load
        for j, length in enumerate(state):
            if length > 0:
                flow[i, place[_moved(state, j, -1)]] += 1.0
    flow -= np.diag(flow.sum(axis=1))
    p = _null_vector(flow)
    # The last state, all full, stands for any number held: 1 + ρ + ρ² + ... = 1 / (1 - ρ).
    p[-1] /= 1.0 - load
    p /= p.sum()
    number = float(p @ [sum(state) for state in states]) + float(p[-1]) * load / (1.0 - load)
    return number / arrival_rate


def _moved(state: tuple[int, ...], place: int, step: int) -> tuple[int, ...]:
    return tuple(sorted((*state[:place], state[place] + step, *state[place + 1 :])))


def _jsq_blocks(
    workers: int, arrivals: float
) -> tuple[np.ndarray, FloatArray, FloatArray, FloatArray]:
    """Return the states of one level, and the rates one level up, within it, and down.

    A state is how much longer than the shortest the n - 1 other queues are, ascending.
    """
    threshold = 1
    while math.comb(workers + threshold, threshold + 1) <= _STATES and threshold < 60:
        threshold += 1
    states = list(combinations_with_replacement(range(threshold + 1), workers - 1))
    place = {state: i for i, state in enumerate(states)}
    up, local, down = np.zeros((3, len(states), len(states)))
    for i, state in enumerate(states):
        shortest = 1 + state.count(0)
        if shortest == 1:
            up[i, place[tuple(longer - 1 for longer in state)]] += arrivals
        else:
            local[i, place[_moved(state, 0, +1)]] += arrivals
        for j, longer in enumerate(state):
            if longer > 0:
                local[i, place[_moved(state, j, -1)]] += 1.0
        if state[-1] < threshold:
            down[i, place[tuple(longer + 1 for longer in state)]] += shortest
        else:
            local[i, place[_moved(state, workers - 2, -1)]] += shortest
    return np.array(states), up, local, down


def _rate_matrix(up: FloatArray, local: FloatArray, down: FloatArray) -> FloatArray:
    """Return R, the least solution of up + R local + R² down = 0."""
    identity = np.eye(len(up))
    higher, lower = np.linalg.solve(-local, up), np.linalg.solve(-local, down)
    first_passage, product = lower.copy(), higher.copy()
    while True:
        both = identity - higher @ lower - lower @ higher
        higher, lower = np.linalg.solve(both, higher @ higher), np.linalg.solve(both, lower @ lower)
        step = product @ lower
        first_passage += step
        if step.max() < 1e-15:
            break
        product = product @ higher
    return np.asarray(np.linalg.solve(-(local + up @ first_passage).T, up.T).T)


def _null_vector(generator: FloatArray) -> FloatArray:
    """Return p with p · generator = 0 and Σ p = 1."""
    system = generator.T.copy()
    system[-1] = 1.0
    right = np.zeros(len(system))
    right[-1] = 1.0
    return np.asarray(np.linalg.solve(system, right))
