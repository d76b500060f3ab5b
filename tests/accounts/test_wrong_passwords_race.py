"""Two nodes that count wrong passwords at once lose none, and who is right comes before the hundredth or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from heartfly.accounts.wrong_passwords import MOST, settle
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import wrong_passwords
from tests.checks.test_commands_race import at_once

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]

ADA = 1


def begin(nodes: tuple[Database, Database], n: int) -> None:
    row = sa.insert(wrong_passwords).values(user_id=ADA, n=n)
    nodes[0].transaction(lambda tx: tx.conn.execute(row).rowcount)


RIGHT, WRONG = "right", "wrong"


def in_turn(*passwords: str) -> Callable[[Tx, IdSource], int]:
    """One for the one node, then one for the other."""
    left = iter(passwords)
    return lambda tx, _ids: settle(tx, ADA, is_right=next(left) == RIGHT)


def left_of(nodes: tuple[Database, Database]) -> list[int]:
    return list(nodes[0].transaction(lambda tx: tx.conn.execute(sa.select(wrong_passwords.c.n)).scalars().all()))


@pytest.mark.parametrize("before", [0, 41])
def test_two_at_once_are_two(nodes: tuple[Database, Database], before: int) -> None:
    if before:
        begin(nodes, before)

    assert [before + 1, before + 2] == at_once(nodes, in_turn(WRONG, WRONG))
    assert [before + 2] == left_of(nodes)


def test_one_of_two_shuts_it(nodes: tuple[Database, Database]) -> None:
    begin(nodes, MOST - 1)

    assert [MOST, MOST + 1] == at_once(nodes, in_turn(WRONG, WRONG))


def test_who_is_right_beside_the_hundredth_that_comes_first_gets_nothing(nodes: tuple[Database, Database]) -> None:
    begin(nodes, MOST - 1)

    assert [MOST, MOST + 1] == at_once(nodes, in_turn(WRONG, RIGHT))
    assert [MOST + 1] == left_of(nodes)


def test_a_wrong_one_beside_the_right_one_that_comes_first_is_the_first_anew(nodes: tuple[Database, Database]) -> None:
    begin(nodes, MOST - 1)

    assert [0, 1] == at_once(nodes, in_turn(RIGHT, WRONG))
    assert [1] == left_of(nodes)


def test_two_that_are_right_both_get_in(nodes: tuple[Database, Database]) -> None:
    begin(nodes, MOST - 1)

    assert [0, 0] == at_once(nodes, in_turn(RIGHT, RIGHT))
    assert [] == left_of(nodes)
