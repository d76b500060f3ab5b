"""Two nodes that take factors away at once leave one; a password that is let in beside a new passkey is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
import sqlalchemy as sa

from heartfly.accounts import passkeys, second_step, sessions
from heartfly.accounts.factors import Factors, LastFactorError, factors_of
from heartfly.accounts.relying_party import Made
from heartfly.audit.record import CLI
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import passkeys as its_passkeys
from heartfly.db.models import sessions as its_sessions
from heartfly.db.models import users
from heartfly.errors import ConflictError
from tests.checks.test_commands_race import at_once

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def ada(nodes: tuple[Database, Database]) -> int:
    row = {"id": 1, "email": "ada@example.com", "email_norm": "ada@example.com", "password_hash": "hash", "zone": "UTC"}
    nodes[0].transaction(lambda tx: tx.conn.execute(sa.insert(users).values(row | {"created_at": AT})).rowcount)
    return 1


def add(tx: Tx, user_id: int, name: str, ids: IdSource, *, first: bool = False) -> None:
    made = Made(credential=name, public_key=b"", n_uses=0)
    passkeys.add_passkey(tx, user_id, made, name=name, actor=CLI, at=AT, ids=ids, first=first)


def in_turn(*commands: Callable[[Tx, IdSource], object]) -> Callable[[Tx, IdSource], object]:
    """The first for the one node, the second for the other."""
    left = iter(commands)

    def command(tx: Tx, ids: IdSource) -> object:
        return next(left)(tx, ids)

    return command


def switched_on(tx: Tx, user_id: int) -> None:
    """As far as sign-in looks at it."""
    tx.conn.execute(sa.update(users).where(users.c.id == user_id).values(totp_enc=b"sealed", totp_since=AT))


def has(nodes: tuple[Database, Database], user_id: int) -> Factors:
    return nodes[0].transaction(lambda tx: factors_of(tx, user_id))


def test_of_the_last_two_passkeys_one_stays(nodes: tuple[Database, Database], ada: int) -> None:
    ids = IdSource(4)
    for name in ("one", "two"):
        nodes[0].transaction(partial(add, user_id=ada, name=name, ids=ids))
    which = iter(nodes[0].transaction(lambda tx: tx.conn.execute(sa.select(its_passkeys.c.id)).scalars().all()))

    done = at_once(
        nodes,
        lambda tx, ids: passkeys.remove_passkey(
            tx, ada, str(next(which)), actor=CLI, at=AT, ids=ids, more_demanded=True
        ),
    )

    assert done[0] is None
    assert isinstance(done[1], LastFactorError)
    assert Factors(by_code=False, n_passkeys=1) == has(nodes, ada)


def test_of_a_second_step_and_a_passkey_one_stays(nodes: tuple[Database, Database], ada: int) -> None:
    nodes[0].transaction(lambda tx: add(tx, ada, "one", IdSource(4)))
    nodes[0].transaction(lambda tx: switched_on(tx, ada))
    which = str(nodes[0].transaction(lambda tx: tx.conn.execute(sa.select(its_passkeys.c.id)).scalar_one()))

    def by_passkey(tx: Tx, ids: IdSource) -> None:
        passkeys.remove_passkey(tx, ada, which, actor=CLI, at=AT, ids=ids, more_demanded=True)

    def by_code(tx: Tx, ids: IdSource) -> bool:
        return second_step.switch_off(tx, ada, actor=CLI, at=AT, ids=ids, more_demanded=True)

    done = at_once(nodes, in_turn(by_code, by_passkey))

    assert done[0] is True
    assert isinstance(done[1], LastFactorError)
    assert Factors(by_code=False, n_passkeys=1) == has(nodes, ada)


def test_of_two_first_passkeys_one_is_made(nodes: tuple[Database, Database], ada: int) -> None:
    names = iter(("owners", "thiefs"))
    done = at_once(nodes, lambda tx, ids: add(tx, ada, next(names), ids, first=True))

    assert done[0] is None
    assert isinstance(done[1], ConflictError)
    assert Factors(by_code=False, n_passkeys=1) == has(nodes, ada)


def test_a_session_of_a_password_alone_does_not_begin_behind_a_passkey(
    nodes: tuple[Database, Database], ada: int
) -> None:
    def begin(tx: Tx, ids: IdSource) -> object:
        return sessions.begin(
            tx, ada, password_hash="hash", ip="", agent="", replaces="", at=AT, ids=ids, more_demanded=True
        )

    def made(tx: Tx, ids: IdSource) -> None:
        add(tx, ada, "one", ids)

    assert [None, None] == at_once(nodes, in_turn(made, begin))
    nodes[0].transaction(lambda tx: passkeys.remove_passkeys(tx, ada, actor=CLI, at=AT, ids=IdSource(4)))
    assert nodes[0].transaction(lambda tx: begin(tx, IdSource(5))) is not None


@pytest.mark.parametrize("helped_first", [True, False])
def test_what_a_session_has_under_way_is_taken_away_by_the_help_or_does_not_come_in(
    nodes: tuple[Database, Database],
    ada: int,
    helped_first: bool,  # noqa: FBT001 - a table of cases
) -> None:
    def begun(tx: Tx) -> int:
        sessions.begin(tx, ada, password_hash="hash", ip="", agent="", replaces="", at=AT, ids=IdSource(4))
        its: int = tx.conn.execute(sa.select(its_sessions.c.id)).scalar_one()
        return its

    session = nodes[0].transaction(begun)

    def under_way(tx: Tx, ids: IdSource) -> None:
        sessions.demand_alive(tx, ada, session)
        add(tx, ada, "thiefs", ids)

    def helped(tx: Tx, ids: IdSource) -> None:
        second_step.switch_off_by_email(tx, "ada@example.com", actor=CLI, at=AT, ids=ids)
        passkeys.remove_passkeys(tx, ada, actor=CLI, at=AT, ids=ids)

    done = at_once(nodes, in_turn(helped, under_way) if helped_first else in_turn(under_way, helped))

    assert [False, helped_first] == [isinstance(one, sessions.SessionEndedError) for one in done]
    assert done[0] is None
    assert Factors(by_code=False, n_passkeys=0) == has(nodes, ada)
