"""Leaderboards."""

import pytest

import lbsim
from lbsim import policies
from lbsim.teach.tournament import rounds, tournament


class Broken(lbsim.Policy):
    def choose(self, request, cluster):
        return 99


class Refuses(lbsim.Policy):
    def choose(self, request, cluster):
        return lbsim.SHED


ENTRIES = {
    "rotation": policies.RoundRobin(),
    "central": policies.CentralQueue(),
    "par": policies.LeastConnections(),
    "broken": Broken(),
    "refuses": Refuses(),
    "oracle": policies.LeastWorkLeft(),
}


def test_better_policies_come_first_and_those_that_cheat_are_out():
    board = tournament(ENTRIES, seed=3, n=1500)
    assert list(board.scores) == ["central", "par", "rotation"]
    assert board.scores["par"] == pytest.approx(1.0)
    assert "no worker 99" in board.out["broken"]
    assert "left 1500 of 1500 requests unanswered" in board.out["refuses"]
    assert "no master knows" in board.out["oracle"]
    assert "seed 3" in repr(board)
    assert list(board.frame().index) == list(board.scores)


def test_a_seed_draws_the_same_rounds_and_no_seed_draws_others():
    assert repr(rounds(5)[0][1]) == repr(rounds(5)[0][1])
    entries = {"par": policies.LeastConnections()}
    first, second = tournament(entries, n=50), tournament(entries, n=50)
    assert first.seed != second.seed
    again = tournament(entries, seed=first.seed, n=50)
    assert again.p99 == first.p99


def test_runs_may_come_from_elsewhere():
    seen = []

    def run(workload, policy, cluster):
        seen.append(cluster.workers)
        return lbsim.simulate(workload, policy, cluster)

    tournament({"p": policies.Random()}, seed=1, n=50, run=run)
    assert len(seen) == 6  # par and one entry, three rounds


def test_nobody_is_an_error():
    with pytest.raises(lbsim.InputError, match="entries is empty"):
        tournament({})
