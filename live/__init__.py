"""Run the policies of `lbsim` on real forked workers.

This package is not built yet: it holds only this description. It will hold a pre-fork
master that accepts connections, asks an `lbsim` policy for a worker, passes the socket to
that worker, and measures what happens.
"""
