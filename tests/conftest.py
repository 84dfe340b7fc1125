"""What several tests need: every shipped policy, and where the shared validation data are."""

import signal
import threading
import time
import zlib
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

# A shell that starts the tests in the background lets them, and their children, ignore Ctrl-C;
# some tests send it.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


# --- a sample of the slow tests --------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that bounds how long slow tests may go on being started."""
    parser.addoption(
        "--slow-seconds",
        type=float,
        metavar="S",
        help="start slow tests, in an order mixed over all files, for this long; skip the others",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mix the slow tests, always in the same way, if only a sample of them will run."""
    if config.getoption("--slow-seconds") is not None:
        items.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))


@pytest.fixture(scope="session")
def started() -> float:
    """When this process began to run tests."""
    return time.monotonic()


@pytest.fixture(autouse=True)
def _within_budget(request: pytest.FixtureRequest, started: float) -> None:
    budget = request.config.getoption("--slow-seconds")
    is_slow = request.node.get_closest_marker("slow") is not None
    if budget is not None and is_slow and time.monotonic() - started > budget:
        pytest.skip(f"not in the sample: {budget:g} s are over")
