"""The compiled engine: the same numbers, and never a stale kernel."""

import importlib
import json
import math
import os
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit

import lbsim
from lbsim import policies
from lbsim.engines.compiled.fingerprint import inspect_class, reach_of
from lbsim.engines.compiled.methods import fast_modulo
from lbsim.engines.record import Record


def assert_same(a: Record, b: Record) -> None:
    for one, other in zip(a, b, strict=True):
        if isinstance(one, tuple):
            for left, right in zip(one, other, strict=True):
                np.testing.assert_array_equal(left, right)
        else:
            np.testing.assert_array_equal(one, other)


def both(policy, workload, cluster, seed=1):
    runs = [
        lbsim.simulate(workload, policy, cluster, engine=engine, seed=seed)
        for engine in ("readable", "compiled")
    ]
    assert [run.source for run in runs] == ["readable", "compiled"]
    assert_same(runs[0].record, runs[1].record)
    return runs[1]


def ties(n=600):
    """Everything happens at multiples of the same time."""
    return lbsim.Workload.from_arrays(np.arange(n) // 3 * 0.5, np.arange(n) % 4 * 0.5)


@pytest.fixture(scope="module")
def cluster():
    return lbsim.Cluster(5, speeds=[1, 1, 2, 0.5, 1])


@pytest.fixture(scope="module")
def workload(cluster):
    return lbsim.Workload.synthetic(
        2000,
        service=lbsim.BoundedPareto(alpha=1.5, mean=0.01, maximum=1.0),
        wait=lbsim.Exponential(0.002),
        sessions=lbsim.Sessions(40),
        load=0.9,
        cluster=cluster,
        seed=3,
    )


class Renamed(lbsim.Policy):
    """`RoundRobin` under another name."""

    def prepare(self, n_workers):
        self.last = -1

    def choose(self, request, cluster):
        n = len(cluster.is_up)
        worker = (self.last + 1) % n
        while not cluster.is_up[worker]:
            worker = (worker + 1) % n
        self.last = worker
        return worker


STEP = 2


def helper(worker, *, add=0):
    return worker + STEP + add


class Base(lbsim.Policy):
    OFFSET = 1

    def prepare(self, n_workers):
        self.seen = np.zeros((2, n_workers))
        self.last = 0
        self.is_odd = False

    def weigh(self, worker, factor=2.0):
        self.seen[1, worker] += 1.0
        return factor * math.log(1.0 + self.seen[1, worker])


class Own(Base):
    """Arrays of two dimensions, helpers with keywords, base classes, random draws."""

    def choose(self, request, cluster):
        n = len(cluster.up)
        place = int(cluster.rng.random() * n)
        best = cluster.up[place]
        other = cluster.up[helper(place, add=self.OFFSET) % n]
        cost = cluster.in_flight[best] + self.weigh(best)
        if cluster.in_flight[other] + self.weigh(other, factor=1.0) < cost:
            best = other
        self.is_odd = not self.is_odd
        self.last = best
        self.seen[0, best] += request.time
        return best


class Pair(lbsim.Policy):
    """A policy made of policies."""

    def __init__(self, first=None, second=None):
        self.first = policies.PowerOfD() if first is None else first
        self.second = Own() if second is None else second

    def prepare(self, n_workers):
        self.first.prepare(n_workers)
        self.second.prepare(n_workers)

    def choose(self, request, cluster):
        if request.key % 2 == 0:
            return self.first.choose(request, cluster)
        return self.second.choose(request, cluster)


class Parent(policies.PowerOfD):
    """Calls its base by super(), which is not PowerOfD in all its children."""

    def choose(self, request, cluster):
        return cluster.up[super().choose(request, cluster) % self.most(cluster)]

    def most(self, cluster):
        return len(cluster.up) - 1


class Counts(policies.PowerOfD):
    def choose(self, request, cluster):
        return (policies.PowerOfD.choose(self, request, cluster) + 1) % len(cluster.up)


class Child(Parent, Counts):
    def most(self, cluster):
        return Base.OFFSET % Parent.most(self, cluster) + 1


@pytest.mark.parametrize("policy", [Renamed(), Own(), Pair(), Parent(), Child()], ids=repr)
def test_a_policy_of_ones_own_is_the_same_compiled(policy, workload, cluster):
    both(policy, workload, cluster)
    both(policy, ties(), cluster)


def test_functions_that_belong_to_no_module(workload, cluster):
    space: dict = {"lbsim": lbsim}
    exec("def helper(cluster): return cluster.up[0]", space)
    assert space["helper"].__module__ is None

    class Nameless(lbsim.Policy):
        def choose(self, request, cluster):
            return helper(cluster)

    helper = space["helper"]
    both(Nameless(), workload, cluster)


def test_many_workers_by_level():
    # Loads beyond the last level of the index, all ties, and a wheel that turns.
    cluster = lbsim.Cluster(70)
    rng = np.random.default_rng(1)
    crowd = lbsim.Workload.from_arrays(np.sort(rng.random(4000)), rng.exponential(0.9, 4000))
    assert (both(policies.LeastConnections(), crowd, cluster).latency > 20).any()
    both(policies.LeastConnections(), ties(), cluster)
    both(policies.LeastConnections(ties="first"), crowd, lbsim.Cluster(300))


def test_worker_counts_share_a_kernel(workload):
    from lbsim.engines.compiled import short

    def compiled():
        return len(short.blind.overloads)

    both(Renamed(), workload, lbsim.Cluster(2))
    before = compiled()
    for n in (3, 16, 64):
        both(Renamed(), workload, lbsim.Cluster(n))
    assert compiled() == before


def test_a_lists_of_departures_grows():
    # Everybody comes at once: far more in flight than there is room for at first.
    workload = lbsim.Workload.from_arrays(np.zeros(5000), np.ones(5000))
    both(policies.PowerOfD(), workload, lbsim.Cluster(2))


def test_interpreted_and_compiled_fail_alike(workload, cluster):
    class Late(lbsim.Policy):
        def prepare(self, n_workers):
            self.table = np.zeros(700, np.int64)
            self.count = 0

        def choose(self, request, cluster):
            self.count += 1
            return self.table[self.count]

    class Overflow(lbsim.Policy):
        def prepare(self, n_workers):
            self.x = 1

        def choose(self, request, cluster):
            self.x = self.x * 3
            return self.x % 2

    class Down(lbsim.Policy):
        def choose(self, request, cluster):
            return 7 if request.time > 0.1 else 0

    for policy, words in (
        (Late(), "IndexError"),
        (Overflow(), "64|overflow"),
        (Down(), "worker 7"),
    ):
        messages = []
        for engine in ("readable", "compiled"):
            with pytest.raises(lbsim.PolicyError, match=words) as raised:
                lbsim.simulate(workload, policy, cluster, engine=engine)
            messages.append(str(raised.value))
        assert messages[0] == messages[1]


def test_fingerprint_sees_what_a_method_reads():
    space: dict = {"lbsim": lbsim, "K": 1}
    code = (
        "class P(lbsim.Policy):\n"
        "    def choose(self, request, cluster):\n        return helper(0)\n"
    )
    exec("def helper(x): return x + K", space)
    exec(code, space)
    first = inspect_class(space["P"]).digest
    assert inspect_class(space["P"]).digest == first
    space["K"] = 2
    second = inspect_class(space["P"]).digest
    exec("def helper(x): return x - K", space)
    third = inspect_class(space["P"]).digest
    space["P"].LIMIT = 3  # not read
    assert inspect_class(space["P"]).digest == third
    assert len({first, second, third}) == 3
    digests = {third}
    for line in ("A = 1", "A = 2"):
        exec(f"import enum\nclass E(enum.IntEnum):\n    {line}\ndef helper(x): return E.A", space)
        digests.add(inspect_class(space["P"]).digest)
    outer, inner = types.ModuleType("outer"), types.ModuleType("inner")
    outer.inner = inner
    exec("def helper(x): return outer.inner.LIMIT", space | {"outer": outer}, made := {})
    space["helper"] = types.FunctionType(made["helper"].__code__, space | {"outer": outer})
    inner.LIMIT = nameless = lambda: 0
    nameless.__module__ = None
    inspect_class(space["P"])  # such things exist, and must not be in the way
    for inner.LIMIT in (1, 2):
        digests.add(inspect_class(space["P"]).digest)
    assert len(digests) == 5
    both = (
        "def low(c): return c.up[0]\ndef high(c): return c.up[-1]\n"
        "def helper(x): return low(x) + high(x) + chosen(x)\nchosen = "
    )
    for chosen in ("low", "high"):  # which of two that are known already
        exec(both + chosen, space)
        digests.add(inspect_class(space["P"]).digest)
    for fields in ("a b", "b a"):
        exec(
            f"import collections\nCONF = collections.namedtuple('Conf', '{fields}')(1, 2)\n"
            "def helper(x): return CONF.a",
            space,
        )
        digests.add(inspect_class(space["P"]).digest)
    exec(
        "class B(lbsim.Policy):\n    def choose(self, request, cluster): return 0\n"
        "class C(B):\n"
        "    def choose(self, request, cluster): return B.choose(self, request, cluster)\n"
        "class P(B):\n"
        "    def choose(self, request, cluster): return super().choose(request, cluster)",
        space,
    )
    for value in (0, 1, 2):
        exec(f"def change(self, request, cluster): return {value}", space)
        space["B"].choose = space["change"]
        digests |= {inspect_class(space["C"]).digest, inspect_class(space["P"]).digest}
    assert len(digests) == 15
    assert reach_of(Pair()).digest != reach_of(Pair(second=policies.Random())).digest


SCRIPT = """
import json, sys
import numpy as np
import lbsim, mine
from lbsim.engines.compiled import short
workload = lbsim.Workload.from_arrays(np.arange(50.0), np.ones(50))
run = lbsim.simulate(workload, mine.Mine(), lbsim.Cluster(4), engine="compiled")
hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in (short.blind, short.lazy))
print(json.dumps([run.source, run.worker.tolist(), hits]))
"""


def test_disk_cache_never_serves_a_stale_kernel(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        import lbsim
        import tools
        class Mine(lbsim.Policy):
            def choose(self, request, cluster):
                return tools.pick(len(cluster.up))
        """)
    )

    def run(helper, cache=str(tmp_path / "cache")):
        (tmp_path / "tools.py").write_text(helper)
        done = subprocess.run(
            [sys.executable, "-B", "-c", SCRIPT],
            cwd=tmp_path,
            env=os.environ | {"LBSIM_CACHE_DIR": cache, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    first = "K = 1\ndef pick(n):\n    return K % n\n"
    assert run(first) == ["compiled", [1] * 50, 0]
    assert run(first) == ["compiled", [1] * 50, 1]  # from the disk
    assert run(first.replace("K = 1", "K = 2")) == ["compiled", [2] * 50, 0]  # same size and code
    assert run(first.replace("% n", "- 1")) == ["compiled", [0] * 50, 0]
    assert run(first) == ["compiled", [1] * 50, 1]
    for kernel in (tmp_path / "cache").iterdir():
        kernel.write_bytes(b"damaged")
    assert run(first) == ["compiled", [1] * 50, 0]
    assert run(first, cache="/dev/null/nowhere") == ["compiled", [1] * 50, 0]


def test_processes_that_compile_at_once_do_not_mix_their_kernels_up(tmp_path):
    for name, choice in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(
            "import lbsim\nclass Mine(lbsim.Policy):\n"
            f"    def choose(self, request, cluster):\n        return {choice}\n"
        )
    environment = os.environ | {
        "LBSIM_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-B", "-c", SCRIPT]
    for hits in (0, 1):
        running = {
            choice: subprocess.Popen(
                command, cwd=tmp_path / name, env=environment, stdout=subprocess.PIPE, text=True
            )
            for name, choice in (("one", 1), ("two", 2))
        }
        for choice, process in running.items():
            out, _ = process.communicate()
            assert json.loads(out) == ["compiled", [choice] * 50, hits]


def test_changed_global_is_seen_in_the_same_process(workload, cluster):
    module = importlib.import_module(__name__)
    runs = []
    try:
        for module.STEP in (2, 3):
            runs.append(both(Own(), workload, cluster).worker)
    finally:
        module.STEP = 2
    assert (runs[0] != runs[1]).any()


def test_hash64_is_the_same_compiled():
    from lbsim.engines.compiled.known import compiled_hash64

    for key in (0, 1, -1, 2**63 - 1, -(2**63), 123456789):
        for salt in (0, 7, -3, 2**62):
            assert compiled_hash64(key, salt) == lbsim.hash64(key, salt)


def test_import_does_not_load_the_compiler():
    code = "import sys, lbsim; assert not {'numba', 'matplotlib', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


LARGEST = 2**63 - 1


@given(st.integers(-LARGEST - 1, LARGEST), st.integers(1, LARGEST) | st.integers(1, 2000))
@example(LARGEST, 1)
@example(LARGEST, 2)
@example(LARGEST, 3)
@example(LARGEST, LARGEST)
@example(LARGEST, LARGEST - 1)
@example(LARGEST, 2**62 + 1)
@example(-LARGEST - 1, 7)
def test_the_remainder_is_pythons(a, b):
    assert remainder(a, b) == a % b
    multiple = max(a, 0) // b * b
    assert remainder(multiple, b) == 0
    assert remainder(a, -b) == a % -b


@njit
def remainder(a, b):
    return fast_modulo(a, b)
