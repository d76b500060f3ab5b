"""Events that say that something ran in a minute. Their ids are of node and minute: two of one minute are one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MINUTE_S = 60


def heartbeat(
    node: str,
    at: datetime,
    *,
    customer_id: str,
    event_type: str = "heartbeat",
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`<node>_<floor(unix / 60)>`, at the start of its minute. `at`: aware.

    Give the same properties within a minute: another content under the same id is kept as a conflict, and not counted.
    """
    if at.tzinfo is None:
        raise ValueError("at must be aware of its zone")
    minute = math.floor(at.timestamp() / MINUTE_S)
    start = datetime.fromtimestamp(minute * MINUTE_S, UTC)
    return {
        "transaction_id": f"{node}_{minute}",
        "customer_id": customer_id,
        "timestamp": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "event_type": event_type,
        "properties": {"node": node, **(properties or {})},
    }
