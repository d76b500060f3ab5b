"""An audit with a chain, as the command line sees it, and whoever writes to its database past Heartfly."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from click.testing import CliRunner

from heartfly.audit.chain_key import key_in
from heartfly.audit.fasten import fasten
from heartfly.audit.forget import forget
from heartfly.audit.marks import Redactor
from heartfly.audit.record import Action, Actor, Facts, record
from heartfly.cli import main
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, audit_clasps
from heartfly.sealing import Sealer

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ADA = Actor("user:ada@example.org", "203.0.113.7")


@dataclass(slots=True)
class Book:
    db: Database
    url: str
    data: Path
    ids: IdSource
    sealer: Sealer
    pid: int

    async def entry(
        self, of: str = "check:1", after: Facts | None = None, *, at: datetime = T0, pid: int | None = None
    ) -> int:
        """Its id."""
        facts = {"name": "nightly"} if after is None else after

        def work(tx: Tx) -> int:
            record(
                tx, pid or self.pid, actor=ADA, action=Action.CHECK_EDIT, of=of, before={"name": "a"}, after=facts,
                at=at, ids=self.ids,
            )  # fmt: skip
            newest: int = tx.conn.execute(sa.select(sa.func.max(audit.c.id))).scalar_one()
            return newest

        return await self.db.write(work)

    async def fasten(self, at: datetime = T0 + 5 * MINUTE) -> int:
        """How many entries."""
        n = 0
        while (made := await self.db.write(lambda tx: fasten(tx, key_in(tx, self.sealer), at=at))) is not None:
            n += made.n_entries
        return n

    async def clasps(self, *sizes: int) -> list[int]:
        """So many clasps of so many entries each; their ids."""
        ids = []
        for place, size in enumerate(sizes):
            at = T0 + place * 10 * MINUTE
            ids += [await self.entry(f"check:{place}", {"name": f"n{n}"}, at=at) for n in range(size)]
            assert size == await self.fasten(at + 5 * MINUTE)
        return ids

    async def forget(self, of: str, word: str) -> None:
        """As an erasure does, of everything that is told by this word."""

        def without(facts: Facts) -> Facts:
            return {name: "erased" if name == word else value for name, value in facts.items()}

        await self.db.write(lambda tx: forget(tx, self.pid, of, without, redactor=Redactor(tx, self.sealer)))

    async def past_heartfly(self, *statements: sa.Executable) -> None:
        """What somebody does who has the database, and not the key."""
        for one in statements:
            await self.db.write(lambda tx, one=one: tx.conn.execute(one).rowcount)  # type: ignore[misc]

    async def row(self, entry_id: int) -> Any:
        async with self.db.read() as read:
            return (await read.execute(sa.select(audit).where(audit.c.id == entry_id))).one()

    async def newest(self) -> str:
        async with self.db.read() as read:
            query = sa.select(audit_clasps).order_by(audit_clasps.c.number.desc()).limit(1)
            row = (await read.execute(query)).one()
        return f"{row.number}:{row.hash.hex()}"

    def told(self, *options: str) -> tuple[int, str]:
        """The exit status of `heartfly audit verify`, and what it says."""
        env = {"HEARTFLY_DATABASE__URL": self.url} if self.url else {}
        result = CliRunner().invoke(main, ["audit", "verify", "--data", str(self.data), *options], env=env)
        return result.exit_code, re.sub(r"\s*│\s*", " ", result.output)  # as errors are framed

    def verified(self, *options: str) -> tuple[int, dict[str, Any]]:
        code, said = self.told("--json", *options)
        return code, json.loads(said)

    def faults(self) -> list[tuple[int, int | None, str]]:
        """Of each its clasp, its entry, and what is said of it. Exit 1 goes with any."""
        code, said = self.verified()
        assert bool(said["told"]) is (code == 1), said
        assert len(said["told"]) == said["faults"]
        return [(one["clasp"], one["entry"], one["what"]) for one in said["told"]]
