"""The same requests sent to real Node.js."""

import shutil

import numpy as np
import pytest

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
        url = "http://{}:{}".format(*peer.address)
        run = measure_against(workload, url, policies.NodeCluster(), cluster, pids=peer.pids)
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
    with node_cluster(1) as peer:
        result = replay(Task.of(workload, peer.address))
    assert result.finished.max() - result.start < 10 * 0.5


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
