"""The job that chains the audit: all that is new comes in, a piece is looked at each time, and no fault passes."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Action, record
from heartfly.db.changes import Tx
from heartfly.db.models import audit, audit_chain, audit_clasps
from heartfly.jobs import audit_chain as job
from heartfly.sealing import Sealer, new_key
from tests.jobs.workshop import HOUR, MINUTE, T0, Workshop, kind_of
from tests.sim_clock import SimClock
from tests.world import SEALER, TEST, World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(world: World, clock: SimClock) -> Workshop:
    shop = Workshop(world, clock, kind_of(job.chaining(sealer=SEALER), name="audit-chain", expression="*/10 * * * *"))
    await shop.look()
    await shop.go(T0 + 2 * HOUR)
    return shop


async def ran(shop: Workshop) -> tuple[str, str, dict[str, Any]]:
    """The next run: how it ended, in which words, and what it told."""
    await shop.go(shop.clock.now() + 10 * MINUTE)
    newest = (await shop.runs())[-1]
    return newest.outcome, newest.words, newest.figures


async def entries(shop: Workshop, n: int) -> None:
    def work(tx: Tx) -> None:
        for place in range(n):
            record(
                tx, shop.world.project.pid, actor=TEST, action=Action.CHECK_EDIT, of=f"check:{place}", before=None,
                after={"name": "a"}, at=shop.clock.now(), ids=shop.world.ids,
            )  # fmt: skip

    await shop.world.db.write(work)


async def in_no_clasp(shop: Workshop) -> int:
    query = sa.select(sa.func.count()).select_from(audit).where(audit.c.clasp.is_(None))
    n: int = (await shop.world._one(query))[0]
    return n


async def test_the_first_run_brings_in_all_that_there_is(shop: Workshop) -> None:
    """The project that was made, and the check of the job itself."""
    (first,) = (await shop.runs())[:1]

    assert ("ok", 0) == (first.outcome, first.figures["faults"])
    assert first.figures["fastened"] == first.figures["looked_at"] > 0
    assert 0 == await in_no_clasp(shop)


async def test_each_run_brings_in_what_is_new_and_tells_the_newest_clasp(shop: Workshop) -> None:
    await entries(shop, 3)
    before = (await shop.runs())[-1].figures["newest"]

    outcome, words, figures = await ran(shop)

    newest = await shop.world._one(sa.select(audit_clasps).order_by(audit_clasps.c.number.desc()).limit(1))
    assert ("ok", "", 3, 0) == (outcome, words, figures["fastened"], figures["faults"])
    assert f"{newest.number}:{newest.hash.hex()}" == figures["newest"] != before


async def test_where_nothing_is_new_no_clasp_is_made(shop: Workshop) -> None:
    before = (await shop.runs())[-1].figures["newest"]

    _, _, figures = await ran(shop)

    assert (0, before) == (figures["fastened"], figures["newest"])
    assert figures["looked_at"] > 0


async def test_an_entry_that_was_edited_fails_each_run_until_it_is_as_it_was_and_new_ones_come_in(
    shop: Workshop,
) -> None:
    await entries(shop, 1)
    await ran(shop)
    its = (audit.c.object == "check:0",)
    row = await shop.world._one(sa.select(audit).where(*its))
    await shop.world.db.write(lambda tx: tx.conn.execute(sa.update(audit).where(*its).values(actor="eve")).rowcount)

    for _ in range(2):
        await entries(shop, 1)
        outcome, words, figures = await ran(shop)

        assert ("failed", 1) == (outcome, figures["faults"])
        assert f"entry {row.id} of project {row.pid}, clasp {row.clasp}, is not what it was" in words
        assert "heartfly audit verify" in words
        assert 0 == await in_no_clasp(shop)
    await shop.world.db.write(
        lambda tx: tx.conn.execute(sa.update(audit).where(audit.c.id == row.id).values(actor=row.actor)).rowcount
    )

    assert "ok" == (await ran(shop))[0]


async def test_a_long_chain_is_looked_at_piece_by_piece_and_round_by_round(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.audit.fasten.MOST", 2)
    monkeypatch.setattr("heartfly.audit.verify.ENTRIES", 4)
    monkeypatch.setattr(job, "LOOKED_AT", 8)
    await entries(shop, 30)
    await ran(shop)
    n = (await shop.world._one(sa.select(sa.func.count()).select_from(audit_clasps)))[0]
    await shop.world.db.write(lambda tx: tx.conn.execute(sa.update(audit_chain).values(looked=0)).rowcount)

    looked = []
    for _ in range(10):
        outcome, _, figures = await ran(shop)
        assert "ok" == outcome
        looked.append(figures["looked_at"])

    assert 8 == max(looked)
    assert min(looked) < 8  # where a round ended
    assert sum(looked) > 2 * n + 8  # more than one round
    last = sa.select(sa.func.max(audit.c.id)).scalar_subquery()
    await shop.world.db.write(
        lambda tx: tx.conn.execute(sa.update(audit).where(audit.c.id == last).values(ip="::1")).rowcount
    )
    assert "failed" in [(await ran(shop))[0] for _ in range(6)]


async def test_many_small_clasps_are_looked_at_a_bounded_number_at_a_time(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heartfly.audit.fasten.MOST", 1)
    monkeypatch.setattr("heartfly.audit.verify.CLASPS", 3)
    monkeypatch.setattr(job, "CLASPS_LOOKED_AT", 6)
    await entries(shop, 30)
    await ran(shop)

    assert 6 == max([(await ran(shop))[2]["looked_at"] for _ in range(3)])


async def test_an_entry_that_names_a_clasp_that_there_is_not_fails_it(shop: Workshop) -> None:
    await entries(shop, 1)
    await shop.world.db.write(lambda tx: tx.conn.execute(sa.update(audit).values(clasp=1 << 40)).rowcount)

    outcome, words, _ = await ran(shop)

    assert ("failed", True) == (outcome, "names a clasp that there is not" in words)


async def test_many_faults_are_told_in_a_few_words(shop: Workshop) -> None:
    await entries(shop, 9)
    await ran(shop)
    await shop.world.db.write(lambda tx: tx.conn.execute(sa.update(audit).values(actor="eve")).rowcount)

    _, words, _ = await ran(shop)

    assert 5 == words.count("is not what it was")
    assert "more. `heartfly" in words


async def test_a_chain_that_was_removed_is_missed(shop: Workshop) -> None:
    await entries(shop, 1)
    await ran(shop)
    await shop.world.db.write(lambda tx: tx.conn.execute(sa.delete(audit_clasps)).rowcount)

    outcome, words, _ = await ran(shop)

    assert ("failed", True) == (outcome, "names a clasp that there is not" in words)


@pytest.mark.parametrize("first", [1, 2])
async def test_a_chain_that_has_to_be_made_anew_is_missed_by_who_has_seen_it(shop: Workshop, first: int) -> None:
    """Its end was cut off, or all of it, and its entries edited and left to be brought in once more."""
    await entries(shop, 1)
    await ran(shop)
    await entries(shop, 1)
    await ran(shop)
    of_it, edit = audit.c.clasp >= first, {"clasp": None, "actor": "eve"}
    cut = sa.delete(audit_clasps).where(audit_clasps.c.number >= first)
    await shop.world.db.write(lambda tx: tx.conn.execute(cut).rowcount)
    await shop.world.db.write(lambda tx: tx.conn.execute(sa.update(audit).where(of_it).values(edit)).rowcount)

    for _ in range(2):
        outcome, words, figures = await ran(shop)
        assert ("failed", 1) == (outcome, figures["faults"])
        assert "was there at the last run, and is not as it was then" in words


async def test_a_chain_that_is_cut_off_while_the_job_runs_is_missed_as_well(shop: Workshop) -> None:
    """By a trigger that somebody has put into the database, at what the job writes last."""
    await entries(shop, 1)
    await ran(shop)
    cut = ("DELETE FROM audit_clasps WHERE number = 2", "UPDATE audit SET clasp = NULL WHERE clasp = 2")

    def plant(tx: Tx) -> None:
        if tx.on_postgres:
            body = f"BEGIN {'; '.join(cut)}; RETURN NULL; END"
            tx.conn.exec_driver_sql(f"CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
            tx.conn.exec_driver_sql("CREATE TRIGGER cut AFTER UPDATE ON audit_chain EXECUTE FUNCTION cut()")
        else:
            tx.conn.exec_driver_sql(f"CREATE TRIGGER cut AFTER UPDATE ON audit_chain BEGIN {'; '.join(cut)}; END")

    def pull_out(tx: Tx) -> None:
        tx.conn.exec_driver_sql("DROP TRIGGER cut" + (" ON audit_chain" if tx.on_postgres else ""))
        if tx.on_postgres:
            tx.conn.exec_driver_sql("DROP FUNCTION cut")

    await shop.world.db.write(plant)
    outcomes = [(await ran(shop))[0]]
    await shop.world.db.write(pull_out)
    outcomes.append((await ran(shop))[0])

    assert ["failed", "failed"] == outcomes


async def test_with_another_key_file_it_fails_and_makes_no_clasp(world: World, clock: SimClock, shop: Workshop) -> None:
    await entries(shop, 1)
    other = Workshop(
        world, clock,
        kind_of(job.chaining(sealer=Sealer([new_key()])), name="audit-chain", expression="*/10 * * * *"),
    )  # fmt: skip
    before = await world._all(sa.select(audit_clasps))

    outcome, words, _ = await ran(other)

    assert ("failed", True) == (outcome, "the secret.key file is not the one" in words)
    assert before == await world._all(sa.select(audit_clasps))
