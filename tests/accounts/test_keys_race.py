"""Two nodes that revoke at once leave a project a key that may administer it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from heartfly.accounts.commands import create_project
from heartfly.accounts.key_commands import LastAdminKeyError, revoke_key
from heartfly.accounts.keys import Scope, make_key
from heartfly.audit.record import CLI
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import api_keys
from tests.checks.test_commands_race import at_once
from tests.world import SEALER

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


def test_of_the_last_two_keys_that_administer_one_stays(nodes: tuple[Database, Database]) -> None:
    ids, admin = IdSource(3), frozenset({Scope.ADMIN})
    pid = nodes[0].transaction(
        lambda tx: create_project(tx, slug="main", name="Main", zone="UTC", sealer=SEALER, at=AT, ids=ids).pid
    )
    nodes[0].transaction(lambda tx: make_key(tx, pid, name="second", scopes=admin, at=AT, ids=ids))
    rows = nodes[0].transaction(
        lambda tx: tx.conn.execute(sa.select(api_keys.c.id, api_keys.c.scopes).order_by(api_keys.c.id)).all()
    )
    both = iter([str(row.id) for row in rows if "admin" in row.scopes])

    done = at_once(nodes, lambda tx, ids: revoke_key(tx, pid, next(both), actor=CLI, at=AT, ids=ids))

    assert done[0] is None
    assert isinstance(done[1], LastAdminKeyError)
