"""The dispatcher's laws, for every shipped policy, whatever happens in whatever order."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lbsim import checked, dispatch
from lbsim.dispatch import BAD_CHOICE, LOST, NONE, Requests, make_core
from lbsim.dispatch.core import N_HELD
from lbsim.policy import HOLD, SHED, UNLIMITED
from tests.conftest import every_policy

WORKERS = 3
TICKETS = 40
WORKER = st.integers(0, WORKERS - 1)


class Laws(RuleBasedStateMachine):
    """A driver that does anything a driver may do."""

    policy_given = None
    stale = {}
    tickets = Bundle("tickets")

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(1)
        self.policy = checked.fresh(self.policy_given, WORKERS)
        self.core = make_core(
            self.policy,
            Requests(
                key=rng.integers(-1, 6, TICKETS),
                kind=rng.integers(0, 3, TICKETS),
                priority=rng.integers(0, 3, TICKETS),
                size=np.where(rng.random(TICKETS) < 0.2, np.nan, rng.random(TICKETS)),
                service=rng.random(TICKETS),
            ),
            np.array([UNLIMITED, 2, 4]),
            np.array([1.0, 2.0, 1.0]),
            np.random.default_rng(2),
            max_attempts=2,
            queue_limit=12,
            **self.stale,
        )
        self.now = 0.0
        self.next = 0
        self.at = {}  # ticket: worker, or "held"
        self.unacknowledged = [0] * WORKERS
        self.slots = list(self.core.slots)
        self.up = set()
        for worker in range(WORKERS):
            self.come_up(worker)

    # --- what a driver does with answers -------------------------------------------------------

    def act(self, ticket, answer):
        assert answer != BAD_CHOICE
        if answer == HOLD:
            self.at[ticket] = "held"
        elif answer in (SHED, LOST):
            self.at.pop(ticket, None)
        else:
            assert answer in self.up, "a worker that is down was chosen"
            self.hand(answer, ticket)

    def hand(self, worker, ticket):
        assert self.at.get(ticket) in (None, "held"), "served twice"
        self.at[ticket] = worker
        self.unacknowledged[worker] += 1

    def follow(self, worker, ticket):
        while ticket != NONE:
            self.hand(worker, int(ticket))
            ticket = dispatch.pull(self.core, self.policy, self.now, worker)

    def again(self, tickets):
        for ticket in tickets.tolist():
            self.at.pop(ticket, None)
            self.act(ticket, dispatch.retry_due(self.core, self.policy, self.now, ticket))

    def come_up(self, worker):
        self.up.add(worker)
        self.unacknowledged[worker] = 0
        found = dispatch.worker_up(self.core, self.policy, self.now, worker)
        self.follow(worker, found)

    # --- rules ---------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.1, 2.0]))
    def wait(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.next < TICKETS)
    @rule()
    def arrive(self):
        ticket, self.next = self.next, self.next + 1
        self.act(ticket, dispatch.arrive(self.core, self.policy, self.now, ticket))

    @rule(worker=WORKER)
    def acknowledge(self, worker):
        if worker in self.up and self.unacknowledged[worker]:
            self.unacknowledged[worker] = 0
            self.follow(worker, dispatch.accepted(self.core, self.policy, self.now, worker))

    @rule(pick=st.integers(0, 10))
    def complete(self, pick):
        served = [t for t, where in self.at.items() if where != "held"]
        if served:
            ticket = served[pick % len(served)]
            worker = self.at.pop(ticket)
            found = dispatch.complete(self.core, self.policy, self.now, worker, ticket)
            self.follow(worker, found)

    @rule(pick=st.integers(0, 10))
    def cancel(self, pick):
        if self.at:
            ticket = list(self.at)[pick % len(self.at)]
            where = self.at.pop(ticket)
            worker = dispatch.cancel(self.core, self.now, ticket)
            assert worker == (NONE if where == "held" else where)
            if worker != NONE:
                self.follow(worker, dispatch.pull(self.core, self.policy, self.now, worker))

    @rule(worker=WORKER)
    def crash(self, worker):
        here = {t for t, where in self.at.items() if where == worker}
        self.up.discard(worker)
        found = dispatch.worker_down(self.core, self.policy, self.now, worker)
        assert here <= set(found.tolist()), "a request died with its worker"
        self.again(found)

    @rule(worker=WORKER)
    def leave(self, worker):
        self.up.discard(worker)
        self.again(dispatch.worker_leaving(self.core, self.policy, self.now, worker))

    @rule(worker=WORKER)
    def restart(self, worker):
        if worker not in self.up and worker not in self.at.values():
            self.come_up(worker)

    @rule(worker=WORKER, slots=st.integers(1, 3))
    def resize(self, worker, slots):
        if self.policy_given.slots == UNLIMITED and not self.policy_given.needs_ack:
            self.slots[worker] = slots
            self.follow(worker, dispatch.resize(self.core, self.policy, self.now, worker, slots))

    @rule(worker=WORKER)
    def refuse(self, worker):
        mine = [t for t, where in self.at.items() if where == worker]
        if mine and worker in self.up and self.unacknowledged[worker]:
            ticket = mine[-1]
            del self.at[ticket]
            self.act(ticket, dispatch.refused(self.core, self.policy, self.now, worker, ticket))
            if self.at.get(ticket) != worker:
                self.unacknowledged[worker] = 0
                self.follow(worker, dispatch.accepted(self.core, self.policy, self.now, worker))

    # --- laws ----------------------------------------------------------------------------------

    @invariant()
    def in_flight_is_what_was_handed_over(self):
        for worker in range(WORKERS):
            there = sum(where == worker for where in self.at.values())
            assert self.core.in_flight[worker] == there >= 0

    @invariant()
    def held_requests_are_counted(self):
        held = sum(where == "held" for where in self.at.values())
        assert self.core.count[N_HELD] == held <= 12

    @invariant()
    def up_is_ascending_and_right(self):
        shown = dispatch.view(self.core, self.now).up.tolist()
        assert shown == sorted(self.up)

    @invariant()
    def nobody_waits_beside_a_worker_that_may_take_it(self):
        core = self.core
        n = WORKERS
        for ticket, where in self.at.items():
            if where != "held":
                continue
            line = core.place[ticket]
            request = dispatch.request_of(core, self.now, ticket)
            for worker in self.up:
                if line < 2 * n and line != n + worker:
                    continue  # it waits for another worker
                ready = core.ready[worker] or not core.settings.needs_ack
                free = core.in_flight[worker] < core.slots[worker]
                taken = line == n + worker or self.policy.may_take(worker, request)
                assert not (ready and free and taken)


@pytest.mark.parametrize("policy", every_policy(), ids=repr)
def test_the_laws_hold(policy):
    machine = type("Machine", (Laws,), {"policy_given": policy})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=40))


@pytest.mark.parametrize("stale", [{"info_every": 1.0}, {"info_delay": 0.5}], ids=str)
@pytest.mark.parametrize("policy", every_policy()[:12], ids=repr)
def test_the_laws_hold_with_old_load_information(policy, stale):
    machine = type("Machine", (Laws,), {"policy_given": policy, "stale": stale})
    run_state_machine_as_test(machine, settings=settings(max_examples=8, stateful_step_count=30))
