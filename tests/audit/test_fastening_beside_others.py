"""Entries come into the chain while names go from them and others write: what a clasp holds is what the entry says."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from anyio.lowlevel import checkpoint

from heartfly.audit.chain_key import key_in
from heartfly.audit.fasten import fasten
from heartfly.audit.forget import forget
from heartfly.audit.marks import Redactor
from heartfly.audit.record import Facts
from heartfly.db.changes import Tx
from heartfly.db.models import audit, audit_chain
from tests.audit.book import MINUTE, T0, Book
from tests.postgres_waits import N_WAITING

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """Only PostgreSQL has several writing connections."""
    return postgres_url


def nameless(facts: Facts) -> Facts:
    return dict.fromkeys(facts, "erased")


async def test_an_entry_of_which_names_are_going_waits_for_the_next_clasp_and_holds_up_no_other(book: Book) -> None:
    await book.clasps(1)
    going, other = await book.entry("customer:1"), await book.entry("check:9")

    with book.db.engine.connect() as erasing, erasing.begin():
        tx = Tx(erasing)
        forget(tx, book.pid, "customer:1", nameless, redactor=Redactor(tx, book.sealer))
        async with asyncio.timeout(60):
            assert 1 == await book.fasten(T0 + 20 * MINUTE)
    assert 1 == await book.fasten(T0 + 30 * MINUTE)

    assert (2, 3) == ((await book.row(other)).clasp, (await book.row(going)).clasp)
    assert [] == book.faults()
    assert 0 == book.verified()[1]["redacted"]


async def test_names_that_go_as_an_entry_comes_in_wait_for_its_clasp_and_are_marked(book: Book) -> None:
    await book.clasps(1)
    entry = await book.entry("customer:1")

    def erase() -> None:
        book.db.transaction(lambda tx: forget(tx, book.pid, "customer:1", nameless, redactor=Redactor(tx, book.sealer)))

    with book.db.engine.connect() as fastening, fastening.begin():
        tx = Tx(fastening)
        assert fasten(tx, key_in(tx, book.sealer), at=T0 + 20 * MINUTE) is not None
        erasing = asyncio.ensure_future(asyncio.to_thread(erase))
        async with asyncio.timeout(60):
            while not fastening.execute(N_WAITING).scalar_one():
                assert not erasing.done(), "it does not wait for who fastens"
                await checkpoint()
    async with asyncio.timeout(60):
        await erasing

    assert "erased" == (await book.row(entry)).after["name"]
    assert [] == book.faults()
    assert 1 == book.verified()[1]["redacted"]


async def test_whoever_writes_an_entry_does_not_wait_for_who_fastens(book: Book) -> None:
    await book.clasps(1)
    await book.entry()

    with book.db.engine.connect() as fastening, fastening.begin():
        tx = Tx(fastening)
        assert fasten(tx, key_in(tx, book.sealer), at=T0 + 20 * MINUTE) is not None
        async with asyncio.timeout(60):
            late = await book.entry()
    assert 1 == await book.fasten(T0 + 30 * MINUTE)

    assert (3, []) == ((await book.row(late)).clasp, book.faults())


async def test_two_that_begin_the_chain_have_one_key(book: Book) -> None:
    await book.entry()
    with book.db.engine.connect() as first, first.begin():
        mine = key_in(Tx(first), book.sealer)
        other = asyncio.ensure_future(asyncio.to_thread(book.db.transaction, lambda tx: key_in(tx, book.sealer)))
        async with asyncio.timeout(60):
            while not first.execute(N_WAITING).scalar_one():
                assert not other.done(), "it does not wait for who began"
                await checkpoint()
    async with asyncio.timeout(60):
        theirs = await other

    assert mine.of_gone(1) == theirs.of_gone(1)
    async with book.db.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(audit_chain))).scalar_one()
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(audit))).scalar_one()
