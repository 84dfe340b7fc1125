"""Runs that come back from a file as they were."""

import numpy as np
import pytest

import lbsim
from lbsim import (
    Client,
    Cluster,
    Crash,
    Exponential,
    Faults,
    InputError,
    Master,
    Policy,
    PolicyError,
    Reload,
    Sessions,
    SlowDown,
    Workload,
    policies,
    recordings,
    simulate,
)  # fmt: skip

FAULTS = Faults(Crash(1, 0.3), SlowDown(0, 0.1, np.inf, 0.5), Reload(0.8, (2,)), detect_s=0.01)
CLUSTER = Cluster(
    3, discipline="event_loop", faults=FAULTS, master=Master(1e-4), slots=[4, 5, 6],
    session_miss_s=0.001,
)  # fmt: skip


def runs() -> dict[str, lbsim.Run]:
    workload = Workload.synthetic(
        200, service=Exponential(0.01), wait=0.002, load=0.6, cluster=CLUSTER, sessions=Sessions(9),
        size_error=0.3, priorities=[0.5, 0.5], seed=1,
    )  # fmt: skip
    patient = Client(timeout=0.2, retries=2, backoff=0.01)
    sticky = policies.Sticky(fallback=policies.PowerOfD(3))
    return {
        "sticky": simulate(workload, sticky, CLUSTER, client=patient, seed=3),
        "rotation": simulate(workload, policies.RoundRobin(), CLUSTER, seed=3),
    }


def test_runs_come_back_as_they_were(tmp_path):
    before = runs()
    recordings.save(before, tmp_path / "r.parquet", {"date": "today"})
    after = recordings.load(tmp_path / "r.parquet")
    assert list(after) == ["sticky", "rotation"]
    for name, run in before.items():
        back = after[name]
        assert (back.policy, back.cluster, back.client) == (run.policy, run.cluster, run.client)
        assert (back.seed, back.source, back.copies) == (run.seed, run.source, run.copies)
        pairs = [*zip(back.record, run.record, strict=True)][:4]
        pairs += zip(back.record.handovers, run.record.handovers, strict=True)
        pairs += zip(back.record.happenings, run.record.happenings, strict=True)
        pairs += zip(back.workload.columns, run.workload.columns, strict=True)
        for mine, theirs in pairs:
            assert mine.dtype == theirs.dtype
            assert mine == pytest.approx(theirs, abs=0.51e-9, nan_ok=True)
        assert np.array_equal(back.worker, run.worker)
        assert back.frame().dtypes.equals(run.frame().dtypes)
        assert back.summary()["p99"] == pytest.approx(run.summary()["p99"], abs=1e-8)
        assert str(back.slowest(1)[0])
    assert after["sticky"].workload is after["rotation"].workload
    assert recordings.about(tmp_path / "r.parquet")["date"] == "today"


class Mine(Policy):
    def choose(self, request, cluster):
        return cluster.up[0]


def test_a_policy_of_one_s_own_leaves_its_name(tmp_path):
    workload = Workload.from_arrays([0.0, 1.0], [0.1, 0.1])
    recordings.save({"m": simulate(workload, Mine(), Cluster(2))}, tmp_path / "m.parquet")
    policy = recordings.load(tmp_path / "m.parquet")["m"].policy
    assert repr(policy) == "Mine()"
    with pytest.raises(PolicyError, match=r"Mine\(\) was defined elsewhere"):
        simulate(workload, policy, Cluster(2), engine="readable")


def test_messages(tmp_path):
    with pytest.raises(InputError, match=r"0 runs to save"):
        recordings.save({}, tmp_path / "r.parquet")
    with pytest.raises(InputError, match=r"does not exist; give a file of lbsim.recordings.save"):
        recordings.load(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(InputError, match=r"cannot be read"):
        recordings.load(tmp_path / "text.parquet")
    Workload.from_arrays([0.0], [1.0]).save(tmp_path / "w.parquet")
    with pytest.raises(InputError, match=r"holds no runs"):
        recordings.load(tmp_path / "w.parquet")
    with pytest.raises(InputError, match=r"recording 'nothing' is not known; there is"):
        lbsim.data.load("nothing")


@pytest.mark.parametrize("name", lbsim.data.names() or ["none ships yet"])
def test_every_recording_that_ships_can_be_read(name):
    if name not in lbsim.data.names():
        pytest.skip("no recording ships yet")
    for run in lbsim.data.load(name).values():
        assert len(run) > 0
        assert run.summary()["answered"] > 0
