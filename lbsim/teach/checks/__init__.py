"""Is an exercise solved, and if not, why not: checks that explain.

    verdict      what a check answers
    watch        every choice of a policy, and what it saw
    choices      the least loaded worker; a fair choice at random
    sessions     sticky, and surviving a crash
    contest      better than another policy, beyond chance
    diagnosis    what is wrong in a trace

A check returns a `Verdict` or raises `CheckFailed`, with what was seen, when, and where to look.
"""

from lbsim.teach.checks.choices import fair_random, least_loaded
from lbsim.teach.checks.contest import beats_power_of_two, mixed_workload
from lbsim.teach.checks.diagnosis import diagnosis
from lbsim.teach.checks.sessions import sticky
from lbsim.teach.checks.verdict import CheckFailed, Verdict

__all__ = [
    "CheckFailed",
    "Verdict",
    "beats_power_of_two",
    "diagnosis",
    "fair_random",
    "least_loaded",
    "mixed_workload",
    "sticky",
]
