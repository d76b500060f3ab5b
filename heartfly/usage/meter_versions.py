"""Which versions of meters a project has, as values: read alike by whoever folds, asks or compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from heartfly.core.definitions import meter_from
from heartfly.core.versions import Version
from heartfly.db.models import meter_versions, meters


def select_versions(pid: int) -> sa.Select[Any]:
    of_meter = sa.and_(meters.c.pid == meter_versions.c.pid, meters.c.id == meter_versions.c.meter_id)
    return (
        sa.select(meter_versions, meters.c.archived_at)
        .join(meters, of_meter)
        .where(meter_versions.c.pid == pid)
        .order_by(meter_versions.c.id)
    )


def versions_from(rows: Sequence[Any]) -> list[Version]:
    """Of rows of `select_versions`."""
    return [
        Version(
            id=row.id,
            meter_id=row.meter_id,
            meter=meter_from(row.definition),
            from_at=row.from_at,
            to_at=row.to_at,
            archived_at=row.archived_at,
        )
        for row in rows
    ]


def versions_of(connection: sa.Connection, pid: int) -> list[Version]:
    return versions_from(connection.execute(select_versions(pid)).all())
