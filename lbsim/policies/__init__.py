"""The shipped policies, by what they look at.

- nothing (`rotation`): `RoundRobin`, `WeightedRoundRobin`, `Random`, `WeightedRandom`;
- load (`load`): `LeastConnections`, `WeightedLeastConnections`, `PowerOfD`,
  `LeastResponseTime`, `LeastWorkLeft`, `FirstAvailable`;
- how busy workers say they are (`health`): `LeastLoaded`;
- the session (`sticky`, `hashing`): `Sticky`, `KeyHash`, `ConsistentHash`, `Rendezvous`,
  `BoundedLoadHash`, `Maglev`;
- the task (`tasks`): `ByKind`, `ByPriority`, `SizeInterval`;
- who is free, as late as possible (`late`, `node`): `CentralQueue`, `BoundedQueue`,
  `NodeCluster`, `NodeSchedNone`;
- nothing, because the kernel chooses (`kernel`): `SharedAccept`, `ReusePort`.

A policy of your own is a subclass of `lbsim.Policy`; check it with `lbsim.check_policy`.
"""

from lbsim.policies.hashing import BoundedLoadHash, ConsistentHash, KeyHash, Maglev, Rendezvous
from lbsim.policies.health import LeastLoaded
from lbsim.policies.kernel import ReusePort, SharedAccept
from lbsim.policies.late import BoundedQueue, CentralQueue
from lbsim.policies.load import (
    FirstAvailable,
    LeastConnections,
    LeastResponseTime,
    LeastWorkLeft,
    PowerOfD,
    WeightedLeastConnections,
)
from lbsim.policies.names import parse
from lbsim.policies.node import NodeCluster, NodeSchedNone
from lbsim.policies.rotation import Random, RoundRobin, WeightedRandom, WeightedRoundRobin
from lbsim.policies.sticky import Sticky
from lbsim.policies.tasks import ByKind, ByPriority, SizeInterval

__all__ = [
    "BoundedLoadHash",
    "BoundedQueue",
    "ByKind",
    "ByPriority",
    "CentralQueue",
    "ConsistentHash",
    "FirstAvailable",
    "KeyHash",
    "LeastConnections",
    "LeastLoaded",
    "LeastResponseTime",
    "LeastWorkLeft",
    "Maglev",
    "NodeCluster",
    "NodeSchedNone",
    "PowerOfD",
    "Random",
    "Rendezvous",
    "ReusePort",
    "RoundRobin",
    "SharedAccept",
    "SizeInterval",
    "Sticky",
    "WeightedLeastConnections",
    "WeightedRandom",
    "WeightedRoundRobin",
    "parse",
]
