"""An open-loop load generator in processes of its own.

It sends each request when it is due, whatever became of the ones before, and counts latency from
that moment (so a stall of the server is not hidden by requests that were never sent: "coordinated
omission"). It says how late it was itself, and whether a run can be trusted. It works against
any server that speaks HTTP/1.1.
"""

from live.client.lateness import Lateness
from live.client.replay import Replay, replay
from live.client.task import Task

__all__ = ["Lateness", "Replay", "Task", "replay"]
