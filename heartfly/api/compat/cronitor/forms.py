"""How a check looks as a monitor of Cronitor's. Field lists are explicit."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from heartfly.api.compat.cronitor.spec import TYPES, theirs
from heartfly.checks.config import gate_in, gates_of, tolerance_of
from heartfly.checks.owned import FIELDS, owned, said_by_clients
from heartfly.core.schedule import Kind
from heartfly.core.words import Status

TYPE = "cronitor_type"
"""Under this name a check keeps what its client said that it is."""
_WORDS = {60: "minute", 3_600: "hour", 86_400: "day"}
_UNIT = re.compile(r"(?P<number>-?[\d.]+)(?P<unit>[a-z]*)", re.ASCII)
_LONG = {"ms": "ms", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def type_of(row: Any) -> str:
    kept = said_by_clients(row).get(TYPE)
    return str(kept) if kept in TYPES else TYPES[0]


def monitor_form(
    row: Any, heard: Sequence[tuple[str, str]], *, of_project: Collection[str], snoozed_until: datetime | None
) -> dict[str, Any]:
    """`heard`: its channels, id and name; `of_project`: all ids. `snoozed_until` None: it is not."""
    tolerated = _tolerated(row)
    ids = [uuid for uuid, _ in heard]
    schedule = schedule_text(row)
    is_client_s = owned(row, ids)
    return {
        "key": row.slug,
        "name": row.name,
        "type": type_of(row),
        "schedule": schedule,
        "schedules": [schedule],
        "timezone": None if row.kind == Kind.PERIOD else row.zone,
        "grace_seconds": row.grace_s,
        "assertions": assertions(row),
        "notify": ["default"] if of_project and set(ids) == set(of_project) else [name for _, name in heard],
        "tags": list(row.tags),
        "note": row.description,
        "paused": row.status == Status.PAUSED.value or snoozed_until is not None,
        # Ours: when a pause for hours ends.
        "paused_until": None if snoozed_until is None else snoozed_until.isoformat(),
        "disabled": False,
        "initialized": row.last_ping_at is not None,
        "passing": row.status != Status.DOWN.value,
        "running": row.n_open_runs > 0,
        "status": row.status,
        "failure_tolerance": tolerated,
        "schedule_tolerance": tolerated,
        "created": row.created_at.isoformat(),
        # Ours: which of these a client may still set.
        "owners": {theirs(name): "client" if name in is_client_s else "person" for name in FIELDS if name != "max_run"},
    }


def _tolerated(row: Any) -> int | None:
    """How many failures in a row raise no alarm. None: none at all, or it is not by a row that it is decided."""
    in_row = tolerance_of(row.tolerance).in_row
    return None if in_row is None or in_row == 1 else in_row - 1


def schedule_text(row: Any) -> str:
    if row.kind != Kind.PERIOD:
        return str(row.expression)
    unit = next((unit for unit in sorted(_WORDS, reverse=True) if row.period_s % unit == 0), 1)
    n = row.period_s // unit
    return f"every {n} {_WORDS.get(unit, 'second')}{'' if n == 1 else 's'}"


def assertions(row: Any) -> list[str]:
    """Of gates those that can be said so; the others are told by nobody here."""
    found = []
    for gate in gates_of(row.gates):
        parts = gate_in(gate)
        value = _UNIT.fullmatch(str(parts.value))
        if parts.over or parts.of or value is None or parts.op not in {"<", "<=", ">", ">=", "==", "!="}:
            continue
        unit = _LONG.get(value["unit"], "")
        found.append(f"metric.{parts.metric} {parts.op} {value['number']}" + (f" {unit}" if unit else ""))
    return found


def page(forms: Sequence[Mapping[str, Any]], *, number: int, size: int, total: int) -> dict[str, Any]:
    return {"monitors": list(forms), "page": number, "page_size": size, "total_monitor_count": total}
