"""Engines: the same plan in, the same record out, bit for bit.

- `lbsim.engines.plan`: workload, cluster and client as plain numbers, for both engines;
- `lbsim.engines.record`: what an engine writes down;
- `lbsim.engines.readable`: SimPy, made to be read: the reference;
- `lbsim.engines.compiled`: Numba, made to be fast.

The order of events at one instant is part of the physics and is the same in both: by kind (as
numbered in `lbsim.engines.plan`), then by worker, then by ticket.
"""
