import math

import pytest

import lbsim
from lbsim import Client, Cluster, Crash, Faults, Hang, InputError, Master, Reload, SlowDown


def test_capacity():
    assert Cluster(4).capacity == 4.0
    assert Cluster(2, speeds=[1.0, 3.0]).capacity == 4.0
    assert Cluster(2, concurrency=3).capacity == 6.0
    assert Cluster(2, concurrency=3, discipline="ps").capacity == 2.0


def test_repr_shows_what_was_given():
    assert repr(Cluster(4)) == "Cluster(workers=4)"
    assert repr(Cluster(2, speeds=2.0, slots=3)).startswith(
        "Cluster(workers=2, speeds=2.0, slots=3"
    )
    assert repr(Faults(Crash(0, 1.0), restart_s=2.0)) == (
        "Faults(Crash(worker=0, at=1.0), restart_s=2.0)"
    )


def test_random_crashes_have_the_rate_asked_for():
    crashes = lbsim.random_crashes(10, mean_time_between=10.0, until=1000.0, seed=1)
    assert abs(len(crashes) - 1000) < 4 * math.sqrt(1000)
    assert [c.at for c in crashes] == sorted(c.at for c in crashes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cluster(0), r"workers = 0 must be a whole number of at least 1"),
        (lambda: Cluster(2, speeds=[1.0]), r"speeds has 1 values for 2 workers; give one for all"),
        (lambda: Cluster(2, speeds=-1.0), r"speeds = -1 must be finite and above 0"),
        (lambda: Cluster(2, slots=0), r"slots = 0 must be a whole number of at least 1"),
        (lambda: Cluster(2, discipline="lifo"), r"discipline = 'lifo' is not known; give one of"),
        (lambda: Cluster(2, discipline="event_loop", concurrency=2), r"does not apply to an event"),
        (lambda: Cluster(2, accept_s=0.1), r"accept_s = 0.1 is a cost of an event loop's turn"),
        (lambda: Cluster(2, turn_s=0.1), r"turn_s = 0.1 is a cost of an event loop's turn"),
        (lambda: Cluster(2, setup_s=0.1), r"setup_s = 0.1 is a cost of an event loop's turn"),
        (
            lambda: Cluster(2, discipline="event_loop", setup_share=2),
            r"setup_share = 2 must lie between 0 and 1",
        ),
        (lambda: Cluster(2, info_delay_s=1, info_every_s=1), r"cannot both make the load"),
        (lambda: Cluster(2, faults=[Crash(2, 1.0)]), r"worker 2 does not exist; .* 0 to 1"),
        (lambda: Cluster(2, faults=[Reload(1.0, (0, 5))]), r"worker 5 does not exist"),
        (lambda: Master(dispatch_s=-1), r"dispatch_s = -1 must be finite and not negative"),
        (lambda: Faults(Hang(0, 1.0, 5.0), Hang(0, 3.0, 1.0)), r"is not over when .* begins"),
        (lambda: Faults(SlowDown(0, 1.0, 1.0, 0.0)), r"factor = 0 must be finite and above 0"),
        (lambda: Faults("crash"), r"fault = 'crash' is not a fault; give Crash, Hang"),
        (lambda: Faults(Crash(0, float("nan"))), r"at = nan is not a number"),
        (lambda: Client(timeout=0), r"timeout = 0 must be finite and above 0"),
        (lambda: Client(retries=-1), r"retries = -1 must be a whole number of at least 0"),
        (lambda: Client(take_back="all"), r"take_back = 'all' is not known; give one of nothing"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(make, message):
    with pytest.raises(InputError, match=message):
        make()
