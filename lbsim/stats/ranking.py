"""Ranking policies by one figure, without pretending to an order that the data do not show."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lbsim.errors import InputError
from lbsim.stats.intervals import Interval, replication_interval
from lbsim.stats.paired import paired_differences
from lbsim.stats.resampled import resampled_interval

__all__ = ["Ranked", "rank"]


@dataclass(frozen=True)
class Ranked:
    """One line of a ranking.

    Attributes
    ----------
    name : str
    rank : int
        1 is best; the same number is a tie, and the next rank counts those above it (1, 1, 3).
    interval : Interval
        The figure's own interval. Two of them may well overlap although
        the policies' ranks differ: ranks come from paired differences.
    """

    name: str
    rank: int
    interval: Interval


def rank(
    figures: Mapping[str, ArrayLike],
    confidence: float = 0.95,
    *,
    allow_constant: bool = False,
    resampled: bool = False,
    ratio: bool = False,
) -> tuple[Ranked, ...]:
    """Rank policies by a figure of which less is better.

    Policies are taken in the order of their means. Each shares the rank of the best policy of
    the group before it, unless its paired difference from that one is significant after Holm's
    correction over all pairs; then it begins the next group. (Being indistinguishable does not
    carry over from pair to pair, so a group means: not told apart from the best of the group.)

    Parameters
    ----------
    figures : mapping of str to array_like of float, shape (replications,)
        The figure of each policy in each replication, the same replications for all.
    confidence : float, default 0.95
        1 - confidence bounds the chance that any difference is called significant by luck.
    allow_constant : bool, default False
        Accept figures that do not vary over the replications, such as counts.
    resampled : bool, default False
        The first figure of each is that of a trace, the others are those of its resamples.
    ratio : bool, default False
        Compare resampled figures by their ratio.

    Returns
    -------
    tuple of Ranked
        Best first.

    Examples
    --------
    >>> figures = {"random": [9.0, 8.0, 9.5, 8.5], "jsq": [2.0, 1.9, 2.2, 2.0],
    ...            "p2c": [2.1, 1.8, 2.1, 2.1]}
    >>> [(line.rank, line.name) for line in rank(figures)]
    [(1, 'jsq'), (1, 'p2c'), (3, 'random')]
    """
    if not figures:
        raise InputError("rank: there is no policy to rank; give at least one")
    pairs = paired_differences(
        figures, confidence, allow_constant=allow_constant, resampled=resampled, ratio=ratio
    )
    own = {
        name: resampled_interval(float(np.asarray(values)[0]), np.asarray(values)[1:], confidence)
        if resampled
        else replication_interval(values, confidence, allow_constant=allow_constant)
        for name, values in figures.items()
    }
    order = sorted(figures, key=lambda name: own[name].estimate)
    lines: list[Ranked] = []
    best, group = order[0], 1
    for place, name in enumerate(order, start=1):
        if name != best:
            _, p = pairs[(best, name) if (best, name) in pairs else (name, best)]
            if p <= 1.0 - confidence:
                best, group = name, place
        lines.append(Ranked(name, group, own[name]))
    return tuple(lines)
