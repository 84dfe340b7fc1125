"""Simulated against measured as a check that passes, fails, or says that it cannot tell."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from live.lab.studies import Study
from live.machine import wait_for_quiet

__all__ = ["ATTEMPTS", "Verdict", "Word", "validate"]

ATTEMPTS = 3
PATIENCE_S = 60.0


class Word(Enum):
    """What came out; the values are exit statuses."""

    PASSED = 0
    FAILED = 1
    TOO_NOISY = 3


class Verdict(NamedTuple):
    """What came out, and why, in words; the last study that was made."""

    word: Word
    reasons: list[str]
    study: Study


def validate(
    make: Callable[[], Study],
    *,
    attempts: int = ATTEMPTS,
    patience_s: float = PATIENCE_S,
    say: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Make a study until it can be believed.

    A study during which the machine was noisy says nothing, so it is made again, after waiting
    for the machine to become quiet. One quantile in many is outside its band by chance; so a
    study that fails is made again too, and only what fails twice has failed.

    Parameters
    ----------
    make : callable
        Makes a study.
    attempts : int, default 3
    patience_s : float, default 60
        How long to wait for a quiet machine before each.
    say : callable, optional
        Is told how it goes.
    """
    before: set[str] = set()
    for attempt in range(1, attempts + 1):
        wait_for_quiet(patience_s)
        found = make()
        noise = found.noise
        if noise:
            say(f"attempt {attempt} of {attempts}: the machine was too noisy: {noise[0]}")
            continue
        # So strict that all is inside with a chance of 95 %, if the simulator is right.
        table = found.quantiles()
        n = int((~table["blind"] & (table["server"] == "live")).sum())
        words = found.failures(1.0 - 0.05 / max(1, n))
        if not words:
            return Verdict(Word.PASSED, [], found)
        # A failure is "POLICY: QUANTILE measured ..."; the numbers differ between studies.
        what = {_subject(word) for word in words}
        if what & before:
            return Verdict(Word.FAILED, [w for w in words if _subject(w) in before], found)
        before |= what
        say(f"attempt {attempt} of {attempts}: outside, to be confirmed: {words[0]}")
    if noise:
        return Verdict(Word.TOO_NOISY, noise, found)
    return Verdict(Word.FAILED, words, found)


def _subject(word: str) -> str:
    """Return what a failure is about: the policy and the figure."""
    return " ".join(word.split(" measured ")[0].split()[:2])
