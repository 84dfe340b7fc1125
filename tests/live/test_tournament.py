import sys

import pytest

import lbsim
from lbsim.teach.tournament import tournament


class Beyond(lbsim.Policy):
    """Chooses a worker that is not there."""

    def choose(self, request, cluster):
        return 99


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="live needs Linux")
def test_on_real_workers_as_the_teachers_guide_says():
    import live

    board = tournament(
        {"Ada": lbsim.policies.PowerOfD(), "Eve": Beyond()},
        seed=5,
        n=60,
        run=lambda w, policy, cluster: live.measure(w, policy, workers=cluster.workers),
    )
    assert list(board.scores) == ["Ada"]
    assert all(p99 > 0 for p99 in board.p99["Ada"])
    assert "there is no worker 99" in board.out["Eve"]
