"""Rows into SQLite in blocks: all of them, in any number, and none where one cannot be written."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa

from heartfly.db.blocks import Block
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import event_ids
from heartfly.db.types import all_packed, all_unpacked, packed_text
from tests.one_database import on_sqlite

pytestmark = pytest.mark.anyio

PASSING = Block(event_ids, passing=True)
STRICT = Block(event_ids)
PID = 7
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def columns(numbers: range, fingerprint: bytes = b"first!") -> tuple[list[int], list[bytes], range, list[bytes]]:
    n = len(numbers)
    return [PID] * n, [b"%011d" % number for number in numbers], numbers, [fingerprint] * n


async def kept(db: Database) -> list[tuple[int, bytes]]:
    async with db.read() as read:
        query = sa.select(event_ids.c.event_id, event_ids.c.fingerprint).order_by(event_ids.c.event_id)
        return [(row.event_id, bytes(row.fingerprint)) for row in await read.execute(query)]


@on_sqlite
@pytest.mark.parametrize("n", [1, 31, 32, 33, 511, 512, 513, 1_100])
async def test_as_many_are_written_as_are_given(usage_db: Database, n: int) -> None:
    assert n == await usage_db.write(lambda tx: STRICT.insert(tx, columns(range(n))))

    assert [(number, b"first!") for number in range(n)] == await kept(usage_db)


@on_sqlite
async def test_one_whose_key_is_there_is_passed_over_and_the_others_are_written(usage_db: Database) -> None:
    await usage_db.write(lambda tx: PASSING.insert(tx, columns(range(40, 60))))

    assert 80 == await usage_db.write(lambda tx: PASSING.insert(tx, columns(range(100), b"second")))

    first = range(40, 60)
    assert [(n, b"first!" if n in first else b"second") for n in range(100)] == await kept(usage_db)


@on_sqlite
async def test_of_a_block_that_fails_nothing_is_kept_nor_of_what_was_written_before(usage_db: Database) -> None:
    await usage_db.write(lambda tx: STRICT.insert(tx, columns(range(50, 51))))

    def work(tx: Tx) -> None:
        STRICT.insert(tx, columns(range(1_000, 1_010)))
        STRICT.insert(tx, columns(range(100)))

    with pytest.raises(sqlite3.IntegrityError):
        await usage_db.write(work)

    assert [(50, b"first!")] == await kept(usage_db)
    assert 1 == await usage_db.write(lambda tx: STRICT.insert(tx, columns(range(1)))), "the writer goes on"


@on_sqlite
async def test_columns_of_different_lengths_are_refused(usage_db: Database) -> None:
    pids, hashes, numbers, _ = columns(range(3))

    with pytest.raises(ValueError, match="extended slice"):
        await usage_db.write(lambda tx: STRICT.insert(tx, (pids, hashes, numbers, [b"first!"] * 2)))

    assert [] == await kept(usage_db)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [UUID],
        [UUID, UUID.replace("0", "7"), UUID.replace("f", "0")],
        [UUID, UUID.upper()],
        [UUID, UUID.replace("-", "")],
        [UUID, f"{UUID[:-1]}g"],
        [UUID, f"{UUID[:-1]} "],
        [UUID, f"{UUID[:-2]}\n0"],
        [UUID, f"{UUID[:-3]}\n\n0"],
        [UUID, f"{UUID[:-1]}-"],
        [UUID, UUID.replace("-", "0")],
        [UUID, "0-8fad5b" + UUID[8:]],
        [UUID, f"{UUID[:-1]}\N{FULLWIDTH DIGIT ONE}"],
        [UUID[:-1], f"{UUID}0"],
        ["é" * 36, "t-1", ""],
    ],
)
def test_many_ids_are_packed_as_each_alone_would_be(texts: list[str]) -> None:
    assert [packed_text(text) for text in texts] == all_packed(texts)
    assert [16] * texts.count(UUID) == [
        len(one) for one in all_packed(texts) if one == bytes.fromhex(UUID.replace("-", ""))
    ]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [UUID],
        [UUID, UUID.replace("0", "7"), UUID.replace("f", "0")],
        [UUID, "t-1", UUID.replace("0", "7")],
        ["t-1", ""],
    ],
)
def test_ids_come_out_of_the_database_as_they_were_sent(values: list[str]) -> None:
    assert values == all_unpacked(all_packed(values))
