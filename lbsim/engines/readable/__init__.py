"""The readable engine: the reference for what a run means, written with SimPy.

Read it in this order; each module is one actor:

- `timeline`: SimPy's clock, with the order of events at one instant made a rule;
- `engine`: the stage on which the actors meet;
- `master`: accepts requests, asks the dispatcher, hands over;
- `workers`, `sharing`, `event_loop`: three kinds of worker;
- `clients`: send, wait, give up, retry, hedge;
- `supervisor`: faults, restarts and rolling reloads;
- `notebook`: what is written down.
"""

from lbsim.engines.readable.engine import run

__all__ = ["run"]
