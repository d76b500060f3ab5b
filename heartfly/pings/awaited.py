"""Which checks the signals under way are for. Read without locks, at each beat, while some are.

A signal holds up the judging of its own check alone; one to an address that does not exist holds up
nobody, or anybody on the internet could put off every alarm by opening slow requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import addresses, checks, projects
from heartfly.db.prepared import Prepared, among
from heartfly.pings.request import BySlug, ByUuid, Target


@dataclass(frozen=True, slots=True)
class Awaited:
    """`since`: when the oldest signal for this check came that is under way. `wake_at`: the check's own."""

    since: datetime
    wake_at: datetime | None


def awaited(tx: Tx, under_way: Mapping[Target, datetime]) -> dict[int, Awaited]:
    """By the id of the check."""
    by_uuid = {target.ping_uuid: since for target, since in under_way.items() if isinstance(target, ByUuid)}
    by_slug: dict[tuple[str, str], datetime] = {}
    for target, since in under_way.items():
        if isinstance(target, BySlug):
            named = target.ping_key_hash, target.slug
            by_slug[named] = min(since, by_slug.get(named, since))
    found: dict[int, Awaited] = {}
    if by_uuid:
        for row in _AT_UUIDS.rows(tx, keys=list(by_uuid)):
            since = by_uuid[row.key]
            if row.until is None or since < row.until:
                _add(found, row.id, since, row.wake_at)
    if by_slug:
        keys, slugs = (list(names) for names in zip(*by_slug, strict=True))
        for row in _AT_SLUGS.rows(tx, keys=keys, old_keys=keys, slugs=slugs):
            if (by_key := by_slug.get((row.ping_key_hash, row.slug))) is not None:
                _add(found, row.id, by_key, row.wake_at)
            by_old_key = by_slug.get((row.old_ping_key_hash, row.slug))
            if by_old_key is not None and row.old_until is not None and by_old_key < row.old_until:
                _add(found, row.id, by_old_key, row.wake_at)
    return found


def _add(found: dict[int, Awaited], check_id: int, since: datetime, wake_at: datetime | None) -> None:
    """A check may be called by several addresses at a time."""
    known = found.get(check_id)
    found[check_id] = Awaited(since if known is None else min(since, known.since), wake_at)


_AT_UUIDS = Prepared(
    lambda tx: (
        sa.select(addresses.c.key, addresses.c.until, checks.c.id, checks.c.wake_at)
        .join_from(addresses, checks, sa.and_(checks.c.pid == addresses.c.pid, checks.c.id == addresses.c.check_id))
        .where(among(tx, addresses.c.key, "keys"))
    )
)
_AT_SLUGS = Prepared(
    lambda tx: (
        sa.select(
            projects.c.ping_key_hash,
            projects.c.old_ping_key_hash,
            projects.c.old_until,
            checks.c.slug,
            checks.c.id,
            checks.c.wake_at,
        )
        .join_from(projects, checks, checks.c.pid == projects.c.id)
        .where(
            sa.or_(among(tx, projects.c.ping_key_hash, "keys"), among(tx, projects.c.old_ping_key_hash, "old_keys")),
            among(tx, checks.c.slug, "slugs"),
        )
    )
)
