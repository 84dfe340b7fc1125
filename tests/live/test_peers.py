"""The same requests sent to real Node.js."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import eventually, is_alive

from lbsim import BoundedPareto, Cluster, InputError, Workload, policies
from live.client import Task, replay
from live.measuring import measure_against
from live.peers import node_cluster

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")


@needs_node
@pytest.mark.parametrize("scheduling", ["rr", "none"])
def test_node_serves_the_lab_s_work(scheduling):
    cluster = Cluster(3, discipline="event_loop")
    workload = Workload.synthetic(
        120, service=BoundedPareto(1.5, 0.005, 0.1), load=0.6, cluster=cluster, seed=1
    )
    with node_cluster(3, scheduling) as peer:
        run = measure_against(workload, peer.url, policies.NodeCluster(), cluster, pids=peer.pids)
    assert run.source == "measured"
    assert (run.outcome == 0).all()
    assert set(run.worker) <= {0, 1, 2}
    # A handler cannot be through before its work is, nor the client before the handler.
    served = run.record.handovers.ended[run.record.answer]
    assert (served - run.started >= workload.service - 1e-6).all()
    assert (run.finished >= served).all()
    assert run.frame()["worker"].nunique() == len(set(run.worker))
    assert run.summary()["answered"] == 1.0


@needs_node
def test_awaiting_does_not_block_node():
    workload = Workload.from_arrays(np.zeros(10), np.full(10, 1e-4), wait=np.full(10, 0.5))
    with node_cluster(1, warm=0) as peer:
        result = replay(Task.of(workload, peer.address))
    assert result.finished.max() - result.start < 10 * 0.5


@needs_node
def test_node_leaves_with_who_has_started_it():
    program = (
        "import time; from live.peers import node_cluster\n"
        "with node_cluster(2, warm=0) as peer:\n"
        "    print(peer.master, *peer.pids, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 3
    eventually(lambda: not any(map(is_alive, pids)), "node has left")


@needs_node
def test_unknown_scheduling():
    with (
        pytest.raises(InputError, match=r"scheduling = 'lifo' is not one of Node's; give one of"),
        node_cluster(2, "lifo"),
    ):
        pass


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "127.0.0.1:80", "http://127.0.0.1:1"])
def test_bad_urls(url):
    cluster = Cluster(1)
    workload = Workload.from_arrays([0.0], [0.001])
    with pytest.raises(InputError, match=r"give such a URL|start it first"):
        measure_against(workload, url, policies.Random(), cluster)


ROOT = Path(__file__).resolve().parents[2]


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def ports():
    """Run four plain uvicorn workers; return a free port for a proxy, and theirs."""
    probes = [socket.socket() for _ in range(5)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    free = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    command = [sys.executable, "-m", "uvicorn", "live.apps:app", "--log-level", "error", "--port"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [subprocess.Popen([*command, str(port)], env=env) for port in free[1:]]
    while not all(listens(port) for port in free[1:]):
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.02)
    yield free
    for worker in workers:
        worker.terminate()
        worker.wait()


@pytest.mark.parametrize(("program", "name"), [("nginx", "nginx.conf"), ("haproxy", "haproxy.cfg")])
def test_a_proxy_in_front_of_workers(program, name, ports, tmp_path):
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here")
    text = (ROOT / "live" / "peers" / name).read_text()
    for written, port in zip(range(8100, 8105), ports, strict=True):
        text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
    (tmp_path / name).write_text(text)
    command = {
        "nginx": ["nginx", "-c", str(tmp_path / name), "-p", str(tmp_path)],
        "haproxy": ["haproxy", "-f", str(tmp_path / name)],
    }[program]
    cluster = Cluster(4, discipline="event_loop")
    workload = Workload.synthetic(150, service=0.004, load=0.5, cluster=cluster, seed=1)
    with subprocess.Popen(command) as proxy:
        try:
            while not listens(ports[0]):
                assert proxy.poll() is None
                time.sleep(0.02)
            url = f"http://127.0.0.1:{ports[0]}"
            run = measure_against(workload, url, policies.LeastConnections(), cluster)
        finally:
            proxy.terminate()
    assert (run.outcome == 0).all()
    assert sorted(set(run.worker)) == [0, 1, 2, 3]
    assert (run.latency >= 0.004).all()
