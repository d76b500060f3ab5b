"""Chaining the audit reads from indexes, however long the audit is: no scan, and nothing sorted."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.audit import verify
from heartfly.audit.fasten import waiting
from heartfly.db.models import audit
from tests.audit.book import T0, Book
from tests.plans import Ask, plan

pytestmark = pytest.mark.anyio

INDEX = "SEARCH audit USING INDEX ix_audit_clasp_id"


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda read: read.execute(waiting()), f"{INDEX} (clasp=?)"),
        (lambda read: read.execute(verify.waiting()), "SEARCH audit USING COVERING INDEX ix_audit_clasp_id (clasp=?)"),
        (lambda read: read.execute(verify.entries_of(2, 9)), f"{INDEX} (clasp>? AND clasp<?)"),
        (
            lambda read: read.execute(verify.newest_clasp()),
            "SCAN audit_clasps USING INDEX sqlite_autoindex_audit_clasps_1",
        ),  # its last row
        (
            lambda read: read.execute(verify.next_clasps(3)),
            "SEARCH audit_clasps USING INDEX sqlite_autoindex_audit_clasps_1 (number>?)",
        ),
    ],
    ids=["fasten", "waiting", "entries", "newest", "clasps"],
)
async def test_it_is_read_by_its_index(tmp_path: Path, ask: Ask, told: str) -> None:
    found = await plan(tmp_path, ask)

    assert told == found.strip()


async def test_entries_that_name_no_clasp_are_looked_for_at_both_ends(tmp_path: Path) -> None:
    found = await plan(tmp_path, lambda read: read.execute(verify.strays(9)))

    assert "SCAN" not in found
    assert 2 == found.count("ix_audit_clasp_id")


@pytest.mark.postgres
async def test_postgresql_takes_what_waits_from_the_index_too(book: Book) -> None:
    if not book.db.on_postgres:
        return
    row = (await book.row(await book.entry()))._asdict()
    values = [row | {"id": book.ids.next(T0), "clasp": 1} for _ in range(5000)]

    def work(tx: object) -> str:
        conn = tx.conn  # type: ignore[attr-defined]
        conn.execute(sa.insert(audit), values)
        conn.exec_driver_sql("ANALYZE audit")
        query = waiting().with_for_update(skip_locked=True)
        told = query.compile(conn, compile_kwargs={"literal_binds": True})
        return "\n".join(line for (line,) in conn.exec_driver_sql(f"EXPLAIN {told}"))

    found = await book.db.write(work)

    assert "Index Scan using ix_audit_clasp_id" in found
    assert "Sort" not in found
