"""What several tests need: every shipped policy, and where the shared validation data are."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import lbsim
from lbsim import policies

# The same examples every time, and no deadline: the machine that runs this may be slow.
settings.register_profile(
    "lbsim",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("lbsim")

SHARED = Path(__file__).resolve().parents[1].parent / "shared"

# Policies that need arguments; the others are made without.
ARGUMENTS = {
    "ByKind": {"groups": ((0, 1), (1, 2)), "spill": 3},
    "ByPriority": {"reserved": 1},
    "SizeInterval": {"cutoffs": (0.5,)},
}
VARIANTS = [
    policies.LeastConnections(ties="first"),
    policies.LeastConnections(ties="random"),
    policies.PowerOfD(d=3, distinct=False),
    policies.PowerOfD(d=3),
    policies.Sticky(fallback=policies.PowerOfD(), capacity=4, idle=3.0),
    policies.Sticky(fallback=policies.BoundedQueue(k=1), capacity=8),
    policies.CentralQueue(order="priority"),
    policies.CentralQueue(order="shortest", slots=2),
    policies.BoundedQueue(k=1),
    policies.FirstAvailable(slots=3),
    policies.SharedAccept(order="fifo", slots=2),
    policies.ByPriority(reserved=0, slots=2),
]


def every_policy() -> list[lbsim.Policy]:
    """Return one object of every shipped policy, and some with other parameters."""
    names = [name for name in policies.__all__ if name != "parse"]
    return [getattr(policies, name)(**ARGUMENTS.get(name, {})) for name in names] + VARIANTS


@pytest.fixture
def shared() -> Path:
    """The directory of shared validation data; skips the test where it is not."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside the checkout: validation data and traces are not there")
    return SHARED
