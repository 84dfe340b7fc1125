"""Pictures of runs and comparisons.

Every function takes ``ax=None`` and returns the Axes; nothing touches matplotlib's global
state. Colours are Okabe and Ito's (safe for the colour-blind), and each line also has a dash
pattern of its own, so that the pictures survive a black-and-white printer.
"""

from lbsim.plot.agreement import agreement
from lbsim.plot.ccdf import ccdf
from lbsim.plot.load import latency_against_load
from lbsim.plot.moving import animate
from lbsim.plot.over_time import goodput, latency_over_time
from lbsim.plot.queues import queue_lengths
from lbsim.plot.ranking import ranking
from lbsim.plot.service_times import service_times
from lbsim.plot.shares import shares
from lbsim.plot.timeline import timeline

__all__ = [
    "agreement",
    "animate",
    "ccdf",
    "goodput",
    "latency_against_load",
    "latency_over_time",
    "queue_lengths",
    "ranking",
    "service_times",
    "shares",
    "timeline",
]
