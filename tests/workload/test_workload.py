import csv
import json
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import lbsim
from lbsim import Workload
from lbsim.errors import InputError
from lbsim.workload.arrivals import BLOCK
from lbsim.workload.columns import Columns, join
from lbsim.workload.portable import from_data, to_data

SERVICE = lbsim.BoundedPareto(alpha=1.5, mean=0.010, maximum=1.0)
CLUSTER = lbsim.Cluster(workers=16)
KINDS = {
    "page": lbsim.Kind(0.7, service=lbsim.Exponential(0.005), priority=1),
    "search": lbsim.Kind(0.3, service=SERVICE, wait=0.002),
}
# Every component at once.
EVERYTHING = {
    "arrivals": lbsim.MarkovModulated([1.0, 5.0], [0.5, 0.1]),
    "kinds": KINDS,
    "sessions": lbsim.Sessions(100, zipf=1.1),
    "priorities": [0.2, 0.8],
    "size_error": 0.5,
    "payload": lbsim.Lognormal(mean=2000.0, scv=4.0),
    "rate": 800.0,
    "seed": 5,
}


def plain(n=1000, **others):
    options = {"service": SERVICE, "rate": 100.0, "seed": 1} | others
    if "kinds" in options:
        del options["service"]
    return Workload.synthetic(n, **options)


def equal(a, b):
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b))  # noqa: B905


# --- synthetic -----------------------------------------------------------------------------------


def test_the_call_of_the_readme():
    cluster = lbsim.Cluster(workers=16)
    workload = lbsim.Workload.synthetic(
        100_000,
        arrivals=lbsim.Poisson(),
        service=lbsim.BoundedPareto(alpha=1.5, mean=0.010, maximum=1.0),
        load=0.9,
        cluster=cluster,
        seed=1,
    )
    assert len(workload) == 100_000
    # 0.9 * 16 / 0.010 requests a second; 100,000 Poisson arrivals are within 4.5 errors of it.
    assert workload.parameters["rate"] == pytest.approx(1440.0)
    assert abs(workload.arrival[-1] * 1440.0 / 100_000 - 1.0) < 4.5 / math.sqrt(100_000)
    assert workload.offered_load(cluster) == pytest.approx(0.9)
    for column in workload.columns:
        assert column.shape == (100_000,)
    assert (np.diff(workload.arrival) >= 0.0).all()
    assert workload.service.tolist() == (workload.cpu + workload.wait).tolist()
    assert set(workload.key) == {-1}
    assert set(workload.kind) == set(workload.priority) == {0}
    assert np.isnan(workload.size).all()
    assert set(workload.payload) == {0.0}
    assert set(workload.client) == {-1}


def test_dtypes():
    for workload in (plain(10), Workload.from_arrays([0], [1], key=["a"], kind=["b"])):
        for name, column in workload.columns._asdict().items():
            integers = ("key", "kind", "priority", "client")
            assert column.dtype == (np.int64 if name in integers else np.float64), name


def test_nothing_is_drawn_before_a_column_is_read():
    workload = plain(10**9)
    assert len(workload) == 10**9
    assert "BoundedPareto" in repr(workload)
    first = next(workload.chunks(10))
    assert first.arrival.tolist() == plain(10).arrival.tolist()


@pytest.mark.parametrize(
    ("cluster", "mean"),
    [
        (lbsim.Cluster(4), 0.014),  # synchronous: waiting holds the worker
        (lbsim.Cluster(4, discipline="event_loop"), 0.010),
        (lbsim.Cluster(4, discipline="ps"), 0.010),
        (SimpleNamespace(capacity=4.0, wait_holds_worker=False), 0.010),
    ],
)
def test_load_counts_what_holds_a_worker(cluster, mean):
    workload = plain(wait=0.004, rate=None, load=0.5, cluster=cluster)
    assert workload.recipe.rate == pytest.approx(0.5 * 4 / mean)
    assert workload.offered_load(cluster) == pytest.approx(0.5)


def test_load_counts_speeds_and_kinds():
    cluster = lbsim.Cluster(2, speeds=[1.0, 3.0], concurrency=[1, 2])
    workload = plain(kinds=KINDS, rate=None, load=0.5, cluster=cluster)
    assert workload.recipe.rate == pytest.approx(0.5 * 7.0 / (0.7 * 0.005 + 0.3 * 0.012))


@pytest.mark.parametrize("size", [1000, BLOCK, BLOCK + 1, 100_000, 10**6])
def test_streamed_equals_eager(size):
    workload = Workload.synthetic(150_000, **EVERYTHING)
    pieces = [*workload.chunks(size)]
    assert "columns" not in vars(workload)  # streaming keeps nothing
    assert [len(piece.arrival) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
    assert 0 < len(pieces[-1].arrival) <= size
    assert equal(join(pieces), workload.columns)
    assert equal(join([*workload.chunks(size)]), workload.columns)  # from the columns, now


def test_pieces_share_what_is_the_same_for_all_requests():
    workload = plain(3 * BLOCK)
    first, second, third = workload.chunks()
    for name in ("wait", "key", "kind", "priority", "size", "payload", "client", "think"):
        assert np.shares_memory(getattr(first, name), getattr(second, name)), name
        assert not getattr(first, name).flags.writeable
    assert not np.shares_memory(first.arrival, second.arrival)
    assert equal(join([first, second, third]), workload.columns)


def test_a_shorter_workload_is_the_beginning_of_a_longer_one():
    long = Workload.synthetic(BLOCK + 500, **EVERYTHING)
    for n in (1, 500, BLOCK, BLOCK + 1):
        assert equal(Workload.synthetic(n, **EVERYTHING).columns, long.columns.take(slice(n)))
        assert equal(long.head(n).columns, long.columns.take(slice(n)))


OTHER_COLUMN = {
    "kinds": {"cpu", "wait", "kind", "priority"},
    "sessions": {"key"},
    "priorities": {"priority"},
    "size_error": {"size"},
    "payload": {"payload"},
    "arrivals": {"arrival"},
    "wait": {"wait"},
}


@pytest.mark.parametrize("component", OTHER_COLUMN)
def test_a_component_changes_no_other(component):
    value = 0.003 if component == "wait" else EVERYTHING[component]
    before, after = plain().columns._asdict(), plain(**{component: value}).columns._asdict()
    changed = {c for c in before if not np.array_equal(before[c], after[c], equal_nan=c == "size")}
    assert changed == OTHER_COLUMN[component]


def test_seeds_give_other_requests_and_the_same_seed_the_same():
    assert equal(plain(seed=3).columns, plain(seed=3).columns)
    assert not np.isin(plain(seed=4).arrival, plain(seed=3).arrival).any()
    assert equal(plain(seed=np.int64(3)).columns, plain(seed=3).columns)
    large = 2**80
    assert plain(seed=large).arrival[0] != plain(seed=large + 1).arrival[0]


def test_kinds_have_their_shares_laws_and_priorities():
    n = 100_000
    workload = plain(n, kinds=KINDS)
    assert workload.kind_names == ("page", "search")
    page = workload.kind == 0
    assert abs(page.sum() - 0.7 * n) < 4.5 * math.sqrt(0.21 * n)
    assert scipy.stats.kstest(workload.cpu[page] / 0.005, "expon").pvalue > 7e-6
    assert set(workload.wait[page]) == {0.0}
    assert set(workload.wait[~page]) == {0.002}
    assert set(workload.priority[page]) == {1}
    assert set(workload.priority[~page]) == {0}


def test_priorities_are_drawn_by_their_shares_and_not_by_kind():
    n = 100_000
    workload = plain(n, kinds=KINDS, priorities=[0.2, 0.3, 0.5])
    for kind in (0, 1):
        mine = workload.priority[workload.kind == kind]
        for priority, share in enumerate([0.2, 0.3, 0.5]):
            error = math.sqrt(share * (1 - share) / mine.size)
            assert abs((mine == priority).mean() - share) < 4.5 * error


def test_sessions_follow_zipf(shared):
    with (shared / "validation/tables/zipf.csv").open() as file:
        for row in csv.DictReader(file):
            shares = lbsim.Sessions(int(row["N"]), zipf=float(row["s"])).shares()
            found = {
                "top1": shares[0],
                "top10": shares[:10].sum(),
                "top1pct": shares[: max(1, shares.size // 100)].sum(),
                "sum_p2": (shares**2).sum(),
            }
            for name, value in found.items():
                assert value == pytest.approx(float(row[name]), rel=1e-6), (row, name)


def test_keys_are_drawn_by_popularity():
    n = 100_000
    workload = plain(n, sessions=lbsim.Sessions(50, zipf=1.0))
    counts = np.sort(np.unique(workload.key, return_counts=True)[1])[::-1]
    assert counts.size == 50
    share = lbsim.Sessions(50, zipf=1.0).shares()[0]
    assert abs(counts[0] - share * n) < 4.5 * math.sqrt(share * (1 - share) * n)
    assert workload.key.min() >= 0
    assert plain(10, sessions=50).recipe.sessions == lbsim.Sessions(50)
    assert plain(10, sessions=np.int64(50)).recipe.sessions == lbsim.Sessions(50)


def test_size_estimates():
    workload = plain(50_000, wait=0.001, size_error=0.0)
    assert workload.size.tolist() == workload.service.tolist()
    noise = np.log(plain(50_000, size_error=0.7).size / plain(50_000).service)
    assert scipy.stats.kstest(noise / 0.7, "norm").pvalue > 7e-6


def test_closed_loop():
    loop = lbsim.ClosedLoop(clients=3, think=lbsim.Exponential(2.0))
    workload = Workload.synthetic(10_000, arrivals=loop, service=SERVICE, seed=1)
    assert np.isnan(workload.arrival).all()
    assert workload.client[:7].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert scipy.stats.kstest(workload.think / 2.0, "expon").pvalue > 7e-6
    with pytest.raises(InputError, match="without arrival times there is no offered load"):
        workload.scaled(0.5, CLUSTER)
    with pytest.raises(InputError, match=r"arrives in \[0, 1\) s"):
        workload.window(0.0, 1.0)


def test_any_law_serves_as_arrivals():
    assert plain(arrivals=lbsim.Deterministic(1.0)).arrival[:3].tolist() == [0.01, 0.02, 0.03]
    gaps = np.diff(plain(20_000, arrivals=lbsim.Gamma(mean=5.0, shape=4.0)).arrival)
    assert gaps.mean() == pytest.approx(0.01, rel=0.03)
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(0.25, rel=0.1)


BAD = [
    ({"load": 0.5}, "load = 0.5 needs to know how much the workers can do; give cluster="),
    (
        {"load": 1.08, "cluster": CLUSTER},
        r"^load = 1\.08 is not below 1: the queue grows without bound; lower the arrival rate, "
        r"add workers, or pass allow_overload=True$",
    ),
    ({"load": 1.0, "cluster": CLUSTER}, "load = 1 is not below 1"),
    ({"load": 0.0, "cluster": CLUSTER}, "load = 0 must be finite and above 0"),
    ({"load": math.nan, "cluster": CLUSTER}, "load = nan is not a number"),
    ({"rate": 5000.0, "cluster": CLUSTER}, "load = 3.125 is not below 1"),
    ({"load": 0.5, "rate": 2.0, "cluster": CLUSTER}, "load = 0.5 and rate = 2.0: give one of the"),
    ({}, "load = None and rate = None: give one of the two"),
    ({"rate": -1.0}, "rate = -1 must be finite and above 0"),
    ({"rate": 1.0, "n": 0}, "n = 0 must be a whole number of at least 1"),
    ({"rate": 1.0, "seed": -1}, "seed = -1 must be a whole number"),
    ({"rate": 1.0, "seed": 1.5}, "seed = 1.5 must be a whole number"),
    ({"rate": 1.0, "seed": None}, "seed = None must be a whole number"),
    ({"rate": 1.0, "service": None}, "give service= .* or kinds="),
    ({"rate": 1.0, "kinds": KINDS}, "not both"),
    ({"rate": 1.0, "service": None, "kinds": KINDS, "wait": 0.1}, "not both"),
    ({"rate": 1.0, "service": None, "kinds": {"a": 0.5}}, r"kinds\['a'\] = 0.5 is not a Kind"),
    (
        {"rate": 1.0, "service": None, "kinds": {"a": lbsim.Kind(0.5, SERVICE)}},
        "shares add up to 0.5, not 1",
    ),
    ({"rate": 1.0, "priorities": [0.5, 0.6]}, "priorities add up to 1.1, not 1"),
    ({"rate": 1.0, "size_error": -1.0}, "size_error = -1 must be finite and not negative"),
    ({"rate": 1.0, "sessions": 0}, "sessions = 0 must be a whole number of at least 1"),
    ({"rate": 1.0, "payload": "big"}, "'big' is not a law"),
    ({"rate": 1.0, "arrivals": lbsim.Poisson}, "is not an arrival process"),
    (
        {"load": 0.5, "cluster": CLUSTER, "service": lbsim.Pareto(alpha=0.9, minimum=0.001)},
        "is infinite, so no arrival rate gives a finite load; give rate=",
    ),
    ({"load": 0.5, "cluster": CLUSTER, "service": 0.0}, "mean service time = 0 must be"),
    (
        {"load": 0.5, "cluster": CLUSTER, "arrivals": lbsim.ClosedLoop(2, 1.0)},
        r"load = 0.5 and rate = None do not apply to a closed loop.* give clients",
    ),
    ({"rate": 9.0, "arrivals": lbsim.ClosedLoop(2, 1.0)}, "do not apply to a closed loop"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_bad_input_is_explained(options, message):
    with pytest.raises(InputError, match=message):
        Workload.synthetic(**{"n": 10, "service": SERVICE} | options)


def test_overload_is_allowed_when_said():
    workload = plain(rate=None, load=1.5, cluster=CLUSTER, allow_overload=True)
    assert workload.offered_load(CLUSTER) == pytest.approx(1.5)


# --- given rows ----------------------------------------------------------------------------------


def test_from_arrays_keeps_what_is_given():
    workload = Workload.from_arrays(
        [0.0, 1.0, 2.0],
        [0.1, 0.2, 0.3],
        wait=[0.0, 0.5, 0.0],
        key=["bob", "", "bob"],
        kind=["search", "page", "search"],
        priority=[1, 0, 1],
        size=[0.1, math.nan, 0.4],
        payload=[10, 20, 30],
        name="three",
    )
    assert workload.name == "three"
    assert workload.kind_names == ("page", "search")
    assert workload.kind.tolist() == [1, 0, 1]
    assert workload.service.tolist() == [0.1, 0.7, 0.3]
    bob = lbsim.hash_string("bob")
    assert workload.key.tolist() == [bob, -1, bob]
    assert workload.priority.tolist() == [1, 0, 1]
    assert workload.payload.tolist() == [10.0, 20.0, 30.0]
    assert workload.notes == ()
    assert not workload.is_synthetic


def test_keys_may_be_numbers_texts_or_missing():
    def keys(values):
        return Workload.from_arrays(range(len(values)), [1.0] * len(values), key=values).key

    hashed = lbsim.hash_string
    assert keys(np.array([3, 4], dtype=np.uint32)).tolist() == [3, 4]
    assert keys([3.0, math.nan]).tolist() == [3, -1]
    assert keys(["7", "x"]).tolist() == [hashed("7"), hashed("x")]
    assert keys(["a", None, math.nan]).tolist() == [hashed("a"), -1, -1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100)), min_size=1, max_size=30))
def test_unsorted_arrivals_are_sorted_stably_with_a_note(rows):
    arrival, service = np.array(rows, dtype=float).T
    workload = Workload.from_arrays(arrival, service)
    expected = sorted(rows, key=lambda row: row[0])
    assert [*zip(workload.arrival.tolist(), workload.cpu.tolist(), strict=True)] == expected
    back = int((np.diff(arrival) < 0).sum())
    times = "once" if back == 1 else f"{back} times"
    note = (f"arrivals were not in order (they stepped back {times}): sorted",)
    assert workload.notes == (note if back else ())


BAD_ARRAYS = [
    ({"arrival": [0.0, math.nan]}, r"arrival\[1\] = nan must be finite and not negative \(1 of 2"),
    ({"arrival": [0.0, -1.0]}, r"arrival\[1\] = -1 must be finite and not negative"),
    ({"arrival": [0.0, math.inf]}, r"arrival\[1\] = inf must be"),
    ({"service": [-0.5, 1.0]}, r"service\[0\] = -0.5 must be"),
    ({"service": [1.0]}, "service has 1 values for 2 arrivals"),
    ({"service": [[1.0, 2.0]]}, "service has 2 dimensions"),
    ({"service": ["a", "b"]}, "service is not numeric"),
    ({"arrival": [], "service": []}, "arrival is empty"),
    ({"wait": [0.0, math.nan]}, r"wait\[1\] = nan"),
    ({"payload": [0.0, -3.0]}, r"payload\[1\] = -3"),
    ({"size": [0.0, -3.0]}, r"size\[1\] = -3 must be finite and not negative; give NaN"),
    ({"size": [0.0, math.inf]}, r"size\[1\] = inf must be finite"),
    ({"priority": [0, -1]}, r"priority\[1\] = -1 must be a whole number from 0 on; 0 is the most"),
    ({"priority": [0, 0.5]}, r"priority\[1\] = 0.5 must be a whole number"),
    ({"kind": [0, -2]}, r"kind\[1\] = -2 must be a whole number from 0 on; or give names"),
    ({"kind": ["a"]}, "kind has 1 values for 2 arrivals"),
    ({"key": ["a"]}, "key has 1 values for 2 arrivals"),
    ({"key": [0.5, 1.0]}, "is neither a whole number nor a string"),
    ({"key": np.array([2**63, 1], np.uint64)}, "key = 9223372036854775808 does not fit"),
]


@pytest.mark.parametrize(("given", "message"), BAD_ARRAYS, ids=[m for _, m in BAD_ARRAYS])
def test_bad_arrays_are_explained(given, message):
    values = {"arrival": [0.0, 1.0], "service": [1.0, 1.0]} | given
    with pytest.raises(InputError, match=message):
        Workload.from_arrays(values.pop("arrival"), values.pop("service"), **values)


def test_workloads_do_not_change():
    given = np.array([0.0, 1.0])
    workloads = [Workload.from_arrays(given, [1.0, 1.0]), plain(10)]
    given[0] = 0.5
    assert workloads[0].arrival.tolist() == [0.0, 1.0]
    for workload in workloads:
        pieces = [workload.columns, *workload.chunks(), *plain(10).chunks()]
        for column in [workload.service, *(column for piece in pieces for column in piece)]:
            with pytest.raises(ValueError, match="read-only"):
                column[0] = 1
        with pytest.raises(AttributeError):
            workload.name = "other"


# --- variations ----------------------------------------------------------------------------------


def test_replicates_of_a_synthetic_workload_are_drawn_again():
    workload = Workload.synthetic(1000, **EVERYTHING)
    assert workload.replicate(0) is workload
    first, second = workload.replicate(1), workload.replicate(2)
    assert first.is_synthetic
    assert not first.resampled
    assert equal(first.columns, workload.replicate(1).columns)
    for name in ("arrival", "cpu", "size", "payload"):
        values = [getattr(w, name) for w in (workload, first, second)]
        assert not np.isin(values[0], values[1]).any(), name
        assert not np.isin(values[1], values[2]).any(), name
    # The sessions are the same people.
    assert set(first.key) & set(workload.key)
    with pytest.raises(InputError, match="i = -1 must be a whole number of at least 0"):
        workload.replicate(-1)


def test_replicates_of_a_trace_are_resampled_in_blocks():
    n = 1000
    # Row i has gap i+1 before it and service i: which rows were taken can be read off.
    arrival = np.cumsum(np.arange(1.0, n + 1.0))
    trace = Workload.from_arrays(arrival, np.arange(n), key=np.arange(n), kind=["a", "b"] * 500)
    again = trace.replicate(1)
    assert (again.resampled, trace.resampled) == (True, False)
    assert again.kind_names == ("a", "b")
    assert again.arrival[0] == trace.arrival[0]
    rows = again.cpu.astype(int)
    assert again.key.tolist() == rows.tolist()
    assert again.kind.tolist() == (rows % 2).tolist()
    steps = np.diff(rows) % n
    # Blocks of n^(2/3) = 100 successive rows, ten of them: nine places where a new one begins.
    assert (steps != 1).sum() <= 9
    gaps = np.where(rows == 0, np.diff(arrival).mean(), rows + 1.0)
    np.testing.assert_allclose(np.diff(again.arrival), gaps[1:])
    assert trace.replicate(2).cpu.tolist() != again.cpu.tolist()
    assert trace.replicate(1).cpu.tolist() == again.cpu.tolist()


def test_resampling_keeps_the_rate_on_average():
    trace = plain(5000).window(0.0, math.inf)
    spans = [np.ptp(trace.replicate(i).arrival) for i in range(1, 41)]
    error = np.std(spans, ddof=1) / math.sqrt(40)
    assert abs(np.mean(spans) - np.ptp(trace.arrival)) < 4.5 * error


def test_resampling_a_closed_loop_keeps_who_asks_in_turn(tmp_path):
    class Mine(lbsim.Exponential):
        pass

    loop = lbsim.ClosedLoop(clients=3, think=1.0)
    workload = Workload.synthetic(100, arrivals=loop, service=Mine(1.0), seed=1)
    workload.save(tmp_path / "w")
    again = Workload.load(tmp_path / "w").replicate(1)
    assert again.client.tolist() == workload.client.tolist()
    assert np.isnan(again.arrival).all()


def test_one_request_can_be_resampled():
    assert Workload.from_arrays([3.0], [1.0]).replicate(1).arrival.tolist() == [3.0]


def test_scaled_stretches_the_gaps_of_a_trace():
    trace = Workload.from_arrays([10.0, 11.0, 15.0], [1.0, 2.0, 9.0])
    cluster = lbsim.Cluster(2)
    # 3 s of work in 5 s for 2 workers; the last request is served after the span.
    assert trace.offered_load(cluster) == pytest.approx(0.3)
    scaled = trace.scaled(0.6, cluster)
    assert scaled.offered_load(cluster) == pytest.approx(0.6)
    assert scaled.arrival.tolist() == pytest.approx([10.0, 10.5, 12.5])
    assert scaled.cpu.tolist() == trace.cpu.tolist()
    assert scaled.notes == ("rescaled to load 0.6: service kept, gaps times 0.5",)


def test_scaled_can_stretch_the_work_instead():
    trace = Workload.from_arrays([0.0, 1.0, 5.0], [1.0, 2.0, 9.0], wait=[1.0] * 3, size=[2.0] * 3)
    scaled = trace.scaled(0.25, lbsim.Cluster(2), keep="arrival")
    assert trace.offered_load(lbsim.Cluster(2)) == pytest.approx(0.5)
    assert scaled.arrival.tolist() == trace.arrival.tolist()
    assert scaled.cpu.tolist() == [0.5, 1.0, 4.5]
    assert scaled.wait.tolist() == [0.5] * 3
    assert scaled.size.tolist() == [1.0] * 3


@pytest.mark.parametrize("keep", ["service", "arrival"])
def test_scaled_keeps_a_synthetic_workload_synthetic(keep):
    workload = plain(1000, kinds=KINDS, size_error=0.1)
    scaled = workload.scaled(0.6, CLUSTER, keep=keep)
    assert scaled.is_synthetic
    assert scaled.parameters["load"] == 0.6
    assert scaled.parameters["rate"] == pytest.approx(
        0.6 * 16 / 0.0071 if keep == "service" else 100.0
    )
    assert scaled.offered_load(CLUSTER) == pytest.approx(0.6)
    factor = scaled.recipe.rate / 100.0
    np.testing.assert_allclose(scaled.arrival * factor, workload.arrival)
    ratio = scaled.service / workload.service
    np.testing.assert_allclose(ratio, 1.0 if keep == "service" else ratio[0])


def test_scaling_errors():
    trace = Workload.from_arrays([0.0, 1.0], [1.0, 1.0])
    with pytest.raises(InputError, match=r"load = 1\.2 is not below 1: the queue grows"):
        trace.scaled(1.2, CLUSTER)
    assert trace.scaled(1.2, CLUSTER, allow_overload=True).offered_load(CLUSTER) > 1.0
    with pytest.raises(InputError, match="keep = 'size' is not known"):
        trace.scaled(0.5, CLUSTER, keep="size")
    with pytest.raises(InputError, match="all 2 requests arrive at 3 s"):
        Workload.from_arrays([3.0, 3.0], [1.0, 1.0]).scaled(0.5, CLUSTER)
    with pytest.raises(InputError, match="ask for no work at all"):
        Workload.from_arrays([0.0, 1.0], [0.0, 0.0]).scaled(0.5, CLUSTER)


def test_head_and_window():
    trace = Workload.from_arrays([0.0, 1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert trace.head(2).cpu.tolist() == [1.0, 2.0]
    assert len(trace.head(99)) == 5
    assert trace.window(1.0, 3.0).cpu.tolist() == [2.0, 3.0, 4.0]
    assert trace.window(1.0, 3.0).arrival.tolist() == [1.0, 1.0, 2.0]
    with pytest.raises(InputError, match=r"no request of arrays arrives in \[4, 5\) s"):
        trace.window(4.0, 5.0)
    with pytest.raises(InputError, match="n = 0 must be"):
        trace.head(0)
    drawn = plain(1000)
    part = drawn.window(1.0, 2.0)
    assert not part.is_synthetic
    inside = (drawn.arrival >= 1.0) & (drawn.arrival < 2.0)
    assert part.cpu.tolist() == drawn.cpu[inside].tolist()


# --- text ----------------------------------------------------------------------------------------


def test_text():
    text = repr(Workload.synthetic(100_000, **EVERYTHING))
    for part in (
        "100,000 requests",
        "at 800 /s",
        "30 % search, service: BoundedPareto(",
        "seed: 5",
    ):
        assert part in text
    trace = Workload.from_arrays([2.0, 1.0], [1.0, 2.0], name="<b>&")
    assert repr(trace).splitlines() == [
        "Workload '<b>&': 2 requests",
        "  arrivals: from 1 to 2 s",
        "  service: mean 1.5 s",
        "  note: arrivals were not in order (they stepped back once): sorted",
    ]
    assert "resampled in moving blocks" in repr(trace.replicate(1))
    assert "replication 2" in repr(plain(10).replicate(2))
    assert "&lt;b&gt;&amp;" in trace._repr_html_()
    assert "<b>&" not in trace._repr_html_()


def test_frame():
    frame = plain(100).frame()
    assert list(frame.columns) == [*Columns._fields, "service"]
    assert frame["cpu"].tolist() == plain(100).cpu.tolist()


# --- files ---------------------------------------------------------------------------------------

ARRIVALS = [
    lbsim.Poisson(),
    lbsim.DeterministicArrivals(),
    lbsim.Renewal(lbsim.Weibull(mean=1.0, shape=0.7)),
    lbsim.MarkovModulated([1.0, 5.0], [0.5, 0.1]),
    lbsim.OnOff(on=lbsim.Pareto(alpha=1.5, mean=1.0), off=lbsim.Exponential(1.0)),
    lbsim.RateProfile([1, 2, 3], interval=10.0),
    lbsim.FlashCrowd(at=1.0, duration=2.0, factor=3),
    lbsim.ClosedLoop(clients=5, think=lbsim.Gamma(mean=1.0, shape=2.0)),
]
SERVICES = [
    SERVICE,
    lbsim.Hyperexponential(mean=1.0, scv=2.0),
    lbsim.Hyperexponential(probabilities=[0.5, 0.5], rates=[1.0, 2.0]),
    lbsim.Lognormal(mu=0.1, sigma=1.0),
    lbsim.Bimodal(low=1.0, high=2.0, high_share=0.5),
    lbsim.Empirical([0.1, 0.2, 0.7]),
    scipy.stats.gamma(2.0, scale=np.float64(0.005)),
    lbsim.Deterministic(0.1),
]


@pytest.mark.parametrize(("arrivals", "service"), [*zip(ARRIVALS, SERVICES, strict=True)])
def test_a_saved_workload_comes_back_and_can_be_drawn_again(tmp_path, arrivals, service):
    rate = None if isinstance(arrivals, lbsim.ClosedLoop) else 50.0
    kinds = {"a": lbsim.Kind(0.4, service, wait=0.1), "b": lbsim.Kind(0.6, 0.2, priority=2)}
    options = EVERYTHING | {"kinds": kinds, "arrivals": arrivals, "rate": rate}
    workload = Workload.synthetic(300, **options, name="saved").replicate(3)
    if service is SERVICES[6]:
        workload = workload.scaled(0.5, CLUSTER, keep="arrival")
    json.dumps(workload.parameters)
    workload.save(tmp_path / "w.parquet")
    again = Workload.load(tmp_path / "w.parquet")
    assert equal(again.columns, workload.columns)
    assert equal(again.replicate(7).columns, workload.replicate(7).columns)
    assert again.parameters == workload.parameters
    assert again.parameters["seed"] == 5
    assert (again.name, again.kind_names, again.notes) == ("saved", ("a", "b"), workload.notes)
    assert repr(again) == repr(workload)
    assert [path.name for path in tmp_path.iterdir()] == ["w.parquet"]


def test_a_saved_trace_comes_back(tmp_path):
    trace = Workload.from_arrays([1.0, 0.0], [1.0, 2.0], kind=["b", "a"], size=[math.nan, 1.0])
    for workload in (trace, trace.replicate(1)):
        workload.save(tmp_path / "w")
        again = Workload.load(str(tmp_path / "w"))
        assert equal(again.columns, workload.columns)
        assert (again.notes, again.resampled) == (workload.notes, workload.resampled)
        assert not again.is_synthetic


def test_laws_of_ones_own_are_saved_as_rows(tmp_path):
    class Twice(lbsim.Exponential):
        def draw(self, rng, n):
            return 2.0 * super().draw(rng, n)

    class Late(lbsim.Poisson):
        def stream(self, rng, rate):
            return (times + 5.0 for times in super().stream(rng, rate))

    histogram = scipy.stats.rv_histogram(([1, 3], [0.0, 1.0, 2.0])).freeze()
    own = [plain(100, service=Twice(1.0)), plain(100, arrivals=Late()), plain(99, wait=histogram)]
    for workload in own:
        workload.save(tmp_path / "w")
        again = Workload.load(tmp_path / "w")
        assert equal(again.columns, workload.columns)
        assert not again.is_synthetic
    assert own[0].parameters["kinds"]["request"]["service"] == "Twice(mean=1.0)"


def test_what_is_in_the_way_survives_a_failed_save(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    target = tmp_path / "w.parquet"
    plain(10).save(target)

    def fail(table, path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        plain(20).save(target)
    assert len(Workload.load(target)) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["w.parquet"]


def test_files_that_are_not_ours(tmp_path):
    with pytest.raises(InputError, match="does not exist or is not a file"):
        Workload.load(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match=r"cannot be read .*give a file of Workload\.save"):
        Workload.load(tmp_path / "text")
    plain(10).frame().to_parquet(tmp_path / "foreign")
    with pytest.raises(InputError, match=r"not one of Workload\.save; use Workload\.from_trace"):
        Workload.load(tmp_path / "foreign")
    with pytest.raises(InputError, match="is not a directory; make it"):
        plain(10).save(tmp_path / "no" / "w")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Exponential", "Cauchy"), "'Cauchy' is not known here; the file is of a newer lbsim"),
        (("Poisson", "Hawkes"), "'Hawkes' is not known here"),
        (("scipy.stats.gamma", "scipy.stats.kstest"), "scipy.stats.kstest is not a distribution"),
    ],
)
def test_files_with_parts_that_are_not_known(change, message):
    data = json.dumps(to_data(plain(9, service=lbsim.Exponential(1.0), wait=SERVICES[6]).recipe))
    with pytest.raises(InputError, match=message):
        from_data(json.loads(data.replace(*change)))


def test_workloads_travel_between_processes():
    for workload in (plain(100), Workload.synthetic(100, **EVERYTHING)):
        assert equal(pickle.loads(pickle.dumps(workload)).columns, workload.columns)
