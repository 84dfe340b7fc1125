"""The compiled engine: the result of the readable one, to the last bit, and fast.

Read it in this order:

- `fingerprint`: what a policy's choices depend on, hashed;
- `methods`, `known`, `value`: how a plain policy object becomes a value of compiled code;
- `views`, `levels`, `wheel`, `short`: runs that need no event queue;
- `paths`: which path a run takes;
- `general`, `kernel`, with `reference` and `parts`: all other runs, event by event;
- `cache`: compiled kernels on disk;
- `reasons`: what could not be compiled, in plain words;
- `engine`: all of it put together;
- `tally`, `stream`, `flow`: runs that keep no rows.

Kernels do not count references (``_nrt=False``): they make no arrays, and whatever they are
given lives longer than they do. Counting took more time than all the rest.
"""

from lbsim.engines.compiled.engine import run
from lbsim.engines.compiled.refused import NotYet, Refused

__all__ = ["NotYet", "Refused", "run"]
