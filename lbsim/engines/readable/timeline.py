"""SimPy's clock, with the order of events at one instant made a rule.

SimPy orders events at the same time by priority, then by the order in which they were
scheduled. The second would make a result depend on how an engine is written; so every event
here has a priority that no other event of the same instant shares: its kind, then its worker,
then its ticket (kinds are numbered in `lbsim.engines.plan`).
"""

from collections.abc import Callable
from heapq import heappush
from typing import Any

import simpy
from simpy.core import EventPriority, SimTime

__all__ = ["Appointment", "Timeline"]

_FIRST = 2  # SimPy keeps 0 (urgent) and 1 (normal) for its own events
_WORKERS = 1 << 32
_TICKETS = 1 << 48


class Appointment(simpy.Event):
    """An event at a fixed time that can be called off."""

    is_off = False

    def call_off(self) -> None:
        """Make the event happen without consequences."""
        self.is_off = True


class Timeline(simpy.Environment):
    """A SimPy environment in which events are scheduled at absolute times."""

    def at(
        self,
        time: float,
        kind: int,
        worker: int = 0,
        ticket: int = 0,
        action: Callable[..., Any] | None = None,
        *arguments: Any,
    ) -> Appointment:
        """Schedule an event, and optionally an action.

        NOTE: not ``env.timeout(time - env.now)``: subtracting and adding `now` again can
        change the last digit of a time, and the engines must agree on every digit.

        Parameters
        ----------
        time : float
            Seconds, not before now.
        kind, worker, ticket : int
            Settle the order at one instant.
        action : callable, optional
            Called with `arguments` when the time has come. Without one, a process can
            ``yield`` the event.
        """
        event = Appointment(self)
        event._ok = True
        event._value = None
        priority = ((kind + _FIRST) * _WORKERS + worker) * _TICKETS + ticket
        if action is not None:

            def happen(_: simpy.Event) -> None:
                if not event.is_off:
                    action(*arguments)

            assert event.callbacks is not None
            event.callbacks.append(happen)
        self._schedule_at(event, time, priority)
        return event

    def _schedule_at(self, event: simpy.Event, time: SimTime, priority: int) -> None:
        heappush(self._queue, (time, EventPriority(priority), next(self._eid), event))
