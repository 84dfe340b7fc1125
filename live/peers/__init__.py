"""Other servers that the same requests can be sent to: real Node.js, nginx, HAProxy."""

from live.peers.node import SCHEDULINGS, node_cluster

__all__ = ["SCHEDULINGS", "node_cluster"]
