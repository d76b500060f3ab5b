from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import addresses, blind_intervals
from heartfly.db.prepared import Prepared, among
from heartfly.db.types import UtcInstant

AT = datetime(2026, 11, 1, 1, 30, 0, 123_456, tzinfo=UTC)

pytestmark = pytest.mark.anyio

INSERT = Prepared(lambda _: sa.insert(blind_intervals))
BY_ID = Prepared(lambda _: sa.select(blind_intervals).where(blind_intervals.c.id == sa.bindparam("of")))
BY_KEY = Prepared(lambda tx: sa.select(addresses.c.key).where(among(tx, addresses.c.key, "keys")).order_by("key"))
MOVE = Prepared(
    lambda _: (
        sa.update(blind_intervals).where(blind_intervals.c.id == sa.bindparam("of")).values(to_at=sa.bindparam("until"))
    )
)

MOVE_APART = Prepared(
    lambda _: (
        sa.update(blind_intervals).where(blind_intervals.c.id == sa.bindparam("of")).values(to_at=sa.bindparam("until"))
    ),
    apart=True,
)
MOVE_LOCKED = Prepared(MOVE_APART._make, apart=True, locked=True)


def interval(number: int, from_at: datetime = AT) -> dict[str, Any]:
    return {"id": number, "node_id": 7, "from_at": from_at, "to_at": from_at + timedelta(seconds=3), "cause": "100 %?"}


async def test_values_come_back_as_they_went_in(db: Database) -> None:
    def work(tx: Tx) -> list[Any]:
        INSERT.run(tx, [interval(1), interval(2)])
        return BY_ID.rows(tx, of=2)

    (row,) = await db.write(work)

    assert interval(2) == row._asdict()
    assert UTC is row.from_at.tzinfo


async def test_they_are_those_that_sqlalchemy_reads(db: Database) -> None:
    def work(tx: Tx) -> list[dict[str, Any]]:
        INSERT.run(tx, [interval(1)])
        return [dict(row) for row in tx.conn.execute(sa.select(blind_intervals)).mappings()]

    assert [interval(1)] == await db.write(work)


async def test_an_instant_of_another_zone_is_the_same_instant(db: Database) -> None:
    def work(tx: Tx) -> datetime:
        INSERT.run(tx, [interval(1, AT.astimezone(timezone(timedelta(hours=-3))))])
        at: datetime = BY_ID.rows(tx, of=1)[0].from_at
        return at

    assert AT == await db.write(work)


async def test_each_row_is_written_in_order_and_none_is_none(db: Database) -> None:
    def work(tx: Tx) -> datetime:
        INSERT.run(tx, [])
        INSERT.run(tx, [interval(1)])
        MOVE.run(tx, [{"of": 1, "until": AT + timedelta(hours=n)} for n in range(3)])
        until: datetime = BY_ID.rows(tx, of=1)[0].to_at
        return until

    assert AT + timedelta(hours=2) == await db.write(work)


@pytest.mark.parametrize("n", [0, 1, 700])
async def test_one_statement_looks_for_any_number_of_keys(db: Database, n: int) -> None:
    keys = sorted(f"key {number} \N{SNOWMAN} '" for number in range(n))

    def work(tx: Tx) -> list[str]:
        values = {"kind": "uuid", "pid": 1, "check_id": 1}
        tx.conn.execute(sa.insert(addresses), [{"key": key, **values} for key in [*keys, "another"]])
        return [row.key for row in BY_KEY.rows(tx, keys=keys)]

    assert keys == await db.write(work)


async def test_a_failure_is_raised_as_sqlalchemy_raises_it(db: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        await db.write(lambda tx: INSERT.run(tx, [interval(1), interval(1)]))


async def test_a_statement_may_hold_values_of_its_own(db: Database) -> None:
    first = Prepared(
        lambda _: (
            sa.select(blind_intervals.c.id)
            .where(blind_intervals.c.cause == "100 %?", blind_intervals.c.id > sa.bindparam("after"))
            .order_by(blind_intervals.c.id)
            .limit(sa.bindparam("most", type_=sa.Integer))
        )
    )

    def work(tx: Tx) -> list[int]:
        INSERT.run(tx, [interval(number) for number in range(5)])
        return [row.id for row in first.rows(tx, after=0, most=2)]

    assert [1, 2] == await db.write(work)


async def test_a_value_that_is_missing_is_an_error(db: Database) -> None:
    with pytest.raises(KeyError, match="cause"):
        await db.write(lambda tx: INSERT.run(tx, [{k: v for k, v in interval(1).items() if k != "cause"}]))


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_an_instant_without_a_zone_is_refused(dialect: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        UtcInstant().bind_processor(make_url(f"{dialect}://").get_dialect()())(AT.replace(tzinfo=None))


async def test_hundreds_of_rows_are_written_in_order_and_counted(db: Database) -> None:
    ends = {"of": 1, "until": AT}

    def work(tx: Tx) -> tuple[int, int, list[int], set[datetime]]:
        written = INSERT.run(tx, [interval(number) for number in range(300)])
        moved = MOVE_APART.run(tx, [{**ends, "of": n, "until": AT + timedelta(hours=n)} for n in range(1, 400)])
        rows = tx.conn.execute(sa.select(blind_intervals).order_by(blind_intervals.c.id)).all()
        return written, moved, [row.id for row in rows], {row.to_at - timedelta(hours=row.id) for row in rows[1:]}

    assert (300, 299, list(range(300)), {AT}) == await db.write(work)


async def test_one_bad_row_of_many_is_told_and_leaves_nothing(db: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        await db.write(lambda tx: INSERT.run(tx, [interval(number % 150) for number in range(151)]))

    assert [] == await db.write(lambda tx: BY_ID.rows(tx, of=3))


async def test_of_an_insert_that_may_find_its_row_the_last_one_counts(db: Database) -> None:
    def upsert(tx: Tx) -> Any:
        insert = tx.insert(blind_intervals)
        return insert.on_conflict_do_update(index_elements=["id"], set_={"to_at": insert.excluded.to_at})

    def work(tx: Tx) -> datetime:
        rows = [{**interval(number % 2), "to_at": AT + timedelta(hours=number)} for number in range(40)]
        Prepared(upsert).run(tx, rows)
        at: datetime = BY_ID.rows(tx, of=1)[0].to_at
        return at

    assert AT + timedelta(hours=39) == await db.write(work)


@pytest.mark.parametrize("n", [0, 1, 3, 200])
async def test_columns_are_written_as_their_rows_would_be(db: Database, n: int) -> None:
    rows = [interval(number) for number in range(n)]

    def work(tx: Tx) -> tuple[int, list[dict[str, Any]]]:
        same = {name: value for name, value in interval(0).items() if name != "id"}
        written = INSERT.fill(tx, n, each={"id": range(n)}, same=same)
        query = sa.select(blind_intervals).order_by(blind_intervals.c.id)
        return written, [dict(row) for row in tx.conn.execute(query).mappings()]

    assert (n, rows) == await db.write(work)


async def test_columns_of_another_length_are_an_error(db: Database) -> None:
    with pytest.raises(ValueError, match="zip"):
        await db.write(lambda tx: INSERT.fill(tx, 3, each={"id": [1, 2]}, same=interval(0)))


async def test_what_was_found_goes_back_as_it_is_and_is_told_when_it_is_asked_for(db: Database) -> None:
    """Rows as the driver has them: their instants compare, and mean what they mean in Python."""

    def work(tx: Tx) -> tuple[list[datetime], datetime, datetime]:
        INSERT.run(tx, [interval(1, AT + timedelta(hours=1)), interval(2)])
        both = Prepared(lambda _: sa.select(blind_intervals).order_by(blind_intervals.c.id))
        found = both.found(tx)
        from_at = [at for at, _ in map(found.pick("from_at", "id"), found.rows)]
        MOVE_APART.fill(tx, 2, each={"of": [1, 2], "until": from_at}, same={})
        parts = found.parts(found.rows, "id", "from_at")
        assert [1, 2] == [part.id for part in parts]
        return [row.to_at for row in both.rows(tx)], found.value("from_at", min(from_at)), parts[0].from_at

    assert ([AT + timedelta(hours=1), AT], AT, AT + timedelta(hours=1)) == await db.write(work)


def put_apart(tx: Tx) -> Any:
    insert = tx.insert(blind_intervals)
    changed = {name: insert.excluded[name] for name in ("to_at", "cause")}
    return insert.on_conflict_do_update(index_elements=["id"], set_=changed)


@pytest.mark.parametrize("n", [1, 2, 300])
async def test_rows_apart_are_put_where_they_were_and_beside_others_whatever_is_in_their_text(
    db: Database, n: int
) -> None:
    causes = [f'{{"{number}", NULL, \\ \N{SNOWMAN} %s' for number in range(n)]

    def work(tx: Tx) -> tuple[int, list[Any]]:
        INSERT.run(tx, [interval(number) for number in range(0, n, 2)])
        written = Prepared(put_apart, apart=True).run(
            tx, [{**interval(number), "cause": cause} for number, cause in enumerate(causes)]
        )
        rows = tx.conn.execute(sa.select(blind_intervals).order_by(blind_intervals.c.id)).all()
        return written, [row.cause for row in rows]

    assert (n, causes) == await db.write(work)


@pytest.mark.parametrize("n", [1, 2, 300])
async def test_rows_that_are_held_are_all_updated_and_no_other(db: Database, n: int) -> None:
    def work(tx: Tx) -> tuple[int, list[timedelta]]:
        INSERT.run(tx, [interval(number) for number in range(n + 1)])
        moved = MOVE_LOCKED.run(tx, [{"of": number, "until": AT + timedelta(hours=number)} for number in range(n)])
        rows = tx.conn.execute(sa.select(blind_intervals).order_by(blind_intervals.c.id)).all()
        return moved, [row.to_at - AT for row in rows]

    assert (n, [timedelta(hours=number) for number in range(n)] + [timedelta(seconds=3)]) == await db.write(work)
