import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbsim import queues

N = 12


@pytest.mark.parametrize("ranked", [False, True])
@given(
    ranks=st.lists(st.integers(0, 3), min_size=N, max_size=N),
    serials=st.permutations(range(N)),
    operations=st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, 1)), max_size=60),
)
def test_any_sequence_of_pushes_and_removals_keeps_the_order(ranked, ranks, serials, operations):
    q = queues.make_queues(2, N, ranked)
    q.serial[:] = serials
    if ranked:
        q.rank[:] = ranks
    model: list[set[int]] = [set(), set()]

    def key(ticket):
        return (ranks[ticket] if ranked else 0, serials[ticket])

    for ticket, line in operations:
        holder = next((i for i in (0, 1) if ticket in model[i]), None)
        if holder is None:
            queues.push(q, line, ticket, ranked)
            model[line].add(ticket)
        else:
            queues.remove(q, holder, ticket, ranked)
            model[holder].remove(ticket)
        for i in (0, 1):
            expected = min(model[i], key=key) if model[i] else queues.NONE
            assert queues.front(q, i) == expected
    for i in (0, 1):
        drained = []
        while (ticket := queues.front(q, i)) != queues.NONE:
            drained.append(int(ticket))
            queues.remove(q, i, ticket, ranked)
        assert drained == sorted(model[i], key=key)


def test_append_keeps_the_order_of_appending():
    q = queues.make_queues(1, 3, False)
    q.serial[:] = [5, 1, 3]
    for ticket in (0, 1, 2):
        queues.append(q, 0, ticket)
    seen = []
    ticket = queues.front(q, 0)
    while ticket != queues.NONE:
        seen.append(int(ticket))
        ticket = q.next[ticket]
    assert seen == [0, 1, 2]


def test_before_breaks_ties_of_rank_by_serial():
    q = queues.make_queues(1, 2, True)
    q.rank[:] = [1.0, 1.0]
    q.serial[:] = [7, 2]
    assert queues.before(q, 1, 0, True)
    assert not queues.before(q, 0, 1, True)
    assert q.next.dtype == np.int64
