"""Run the policies of `lbsim` on real forked workers (Linux).

A pre-fork master accepts connections, asks the same dispatcher and policy classes that are
simulated, and passes the socket to a worker that serves any ASGI application:
``python -m live serve module:app --workers 4 --policy PowerOfD:d=2``.
"""
