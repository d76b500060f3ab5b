"""What a node does: serve requests, judge deadlines, send what people are told. All of it, or a part of it where there
are several nodes.

That somebody has each role is the operator's to see to; the doctor names one that no living node has.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class NodeRole(StrEnum):
    SERVE = "serve"
    """Pings, the API, pages, and the listeners for syslog and mail."""
    JUDGE = "judge"
    """May lead: judges deadlines, folds usage and runs the built-in jobs."""
    SEND = "send"
    """Takes notifications out of the outbox to people."""


ALL = tuple(NodeRole)


def missing(roles: Collection[str]) -> tuple[NodeRole, ...]:
    """Those that are not among `roles`, in the order of NodeRole."""
    return tuple(role for role in ALL if role not in roles)
