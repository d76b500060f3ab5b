"""Ways round the chain for who has the database: what was said to be gone and is back, and what lies between clasps."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from heartfly.checks import erase_project
from heartfly.db.models import audit, projects
from tests.audit.book import ADA, MINUTE, T0, Book
from tests.one_database import on_sqlite
from tests.world import make_world

pytestmark = pytest.mark.anyio


async def test_a_project_that_was_deleted_and_is_back_hides_no_entry_of_its(book: Book) -> None:
    """Whoever writes to the database makes himself its owner, deletes it by the API, and puts back what he likes."""
    pid = (await make_world(book.db, book.ids, T0, slug="other")).project.pid
    hidden = await book.entry("check:hidden", pid=pid)
    await book.fasten()
    async with book.db.read() as read:
        project = (await read.execute(sa.select(projects).where(projects.c.id == pid))).one()._asdict()
        of_it = sa.select(audit).where(audit.c.pid == pid, audit.c.id != hidden)
        liked = [row._asdict() for row in (await read.execute(of_it)).all()]
    await book.db.write(lambda tx: erase_project.begin(tx, pid, actor=ADA, at=T0, ids=book.ids))
    await erase_project.finish(book.db.write, pid, at=T0, ids=book.ids, sealer=book.sealer)
    await book.fasten(T0 + 10 * MINUTE)
    assert [] == book.faults()

    await book.past_heartfly(sa.insert(projects).values(project), sa.insert(audit).values(liked))

    assert [(1, hidden, "is missing")] == book.faults()


async def test_a_project_whose_deletion_was_cut_off_is_no_fault(book: Book) -> None:
    pid = (await make_world(book.db, book.ids, T0, slug="other")).project.pid
    await book.fasten()
    await book.db.write(lambda tx: erase_project.begin(tx, pid, actor=ADA, at=T0, ids=book.ids))
    async with book.db.read() as read:
        row = (await read.execute(sa.select(projects).where(projects.c.id == pid))).one()._asdict()
    await erase_project.finish(book.db.write, pid, at=T0, ids=book.ids, sealer=book.sealer)

    await book.past_heartfly(sa.insert(projects).values(row))  # as it is before the last piece

    assert [] == book.faults()


@on_sqlite
async def test_an_entry_that_names_a_place_between_two_clasps_is_named(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite keeps 1.5 in a column of whole numbers; a batch ends with 1, and the next one begins with 2."""
    monkeypatch.setattr("heartfly.audit.verify.CLASPS", 1)
    await book.clasps(1, 1)
    entry = await book.entry()

    await book.past_heartfly(sa.update(audit).where(audit.c.id == entry).values(clasp=sa.literal_column("1.5")))

    assert [(1.5, entry, "names a clasp that there is not")] == book.faults()
