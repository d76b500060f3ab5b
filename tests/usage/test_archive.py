"""Old events go into files and come back, and neither changes a figure; cut off anywhere, nothing is lost or twice."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet
import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.core.days import day_in
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.models import archive_erasures, archives, dirty_hours, event_conflicts, event_ids, events, usage_audit
from heartfly.errors import NotFoundError, StoreError
from heartfly.usage.archive import files, let_go
from heartfly.usage.archive import restore as restoring
from heartfly.usage.archive.erasures import note_erased, rewrite
from heartfly.usage.archive.let_go import Let, Rules, archive_old, remove_strays
from heartfly.usage.archive.pages import write_day
from heartfly.usage.archive.queries import list_archives, stays
from heartfly.usage.archive.restore import Restored, restore, verify
from heartfly.usage.archive.row import Row, line_of, row_of
from heartfly.usage.close_day import Closer
from heartfly.usage.customers import create_customer
from heartfly.usage.erasure import erase_customer
from heartfly.usage.seal import remove_old
from tests.usage.factory import HOUR, NOW, PID, Plant, events_of
from tests.usage.oracle import Sent
from tests.world import SEALER

pytestmark = pytest.mark.anyio

BERLIN = ZoneInfo("Europe/Berlin")
DAY, NEXT = date(2026, 11, 26), date(2026, 11, 27)
AFTER = timedelta(days=90)
DUE = day_in(BERLIN, DAY).to_at + AFTER + 2 * HOUR
"""The first of the two is old enough, and the second is not."""
STAY = timedelta(days=7)
N = 40


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(folder=tmp_path / "archive", format="ndjson", after=AFTER, calls_only=False)


async def filled(plant: Plant, *, close: tuple[date, ...] = (DAY, NEXT)) -> list[Sent]:
    """Two days of events, some of which are contradicted."""

    async def make() -> list[Sent]:
        await plant.all_meters()
        from_at, to_at = day_in(BERLIN, DAY).from_at, day_in(BERLIN, NEXT).to_at
        sent = events_of(N, seed=61, from_at=from_at, to_at=to_at)
        await plant.send(*sent)
        old = [one for one in sent if one.at < day_in(BERLIN, DAY).to_at]
        await plant.send(*(replace(one, subject="somebody else") for one in old[:3]))
        for day in close:
            closer = Closer(plant.usage, plant.folder, plant.clock, plant.ids)
            assert "final" == (await closer.close(PID, day, BERLIN)).state
        return old

    return await plant.once((__name__, close), make)


async def ours() -> None:
    return None


async def archived(
    plant: Plant, rules: Rules, *, now: datetime = DUE, fence: Callable[[], Awaitable[None]] = ours,
    has_time: Callable[[], bool] = lambda: True,
) -> Let:  # fmt: skip
    plant.clock.move_to(max(now, plant.clock.now()))
    return await archive_old(plant.usage, PID, BERLIN, rules, now=now, fence=fence, has_time=has_time)


async def back(plant: Plant, rules: Rules, *, after: int = 0, now: datetime = DUE + HOUR) -> Restored:
    return await restore(
        plant.usage, PID, DAY, rules.folder,
        after=after, stay=STAY, actor=Actor("cli"), now=now, ids=plant.ids,
    )  # fmt: skip


async def rows_of(plant: Plant, *tables: sa.Table) -> list[list[Any]]:
    async with plant.usage.read() as read:
        return [
            [tuple(row) for row in await read.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for table in tables
        ]


async def parts(plant: Plant) -> list[Any]:
    async with plant.usage.read() as read:
        return list(await list_archives(read, PID, from_day=None, to_day=None, before=None, limit=100))


EVENTS = (events, event_ids, event_conflicts)


# --- out, and back


@pytest.mark.parametrize("format_", ["ndjson", "parquet"])
async def test_a_day_goes_into_a_file_and_comes_back_as_it_was_and_no_figure_changes(
    plant: Plant, rules: Rules, format_: files.Format
) -> None:
    old = await filled(plant)
    rules = replace(rules, format=format_)
    before, figures = await rows_of(plant, *EVENTS), await plant.rows()

    told = await archived(plant, rules)

    assert (1, len(old), 3, len(old), 0, []) == (
        told.days, told.events, told.conflicts, told.gone, told.held, told.wrong,
    )  # fmt: skip
    left = await rows_of(plant, *EVENTS)
    assert [N - len(old), N - len(old), 0] == [len(rows) for rows in left]
    assert figures == await plant.rows()
    (part,) = await parts(plant)
    assert (DAY, 1, len(old), 3, DUE) == (part.day, part.part, part.n_events, part.n_conflicts, part.let_go_at)
    assert [f"2026-11-26.1.{'ndjson.gz' if format_ == 'ndjson' else 'parquet'}"] == [
        path.name for path in (rules.folder / str(PID)).iterdir()
    ]
    assert [""] == [one.wrong for one in await verify(plant.usage, PID, DAY, rules.folder)]

    again = await back(plant, rules)

    assert (len(old) + 3, len(old) + 3, len(old), True) == (again.n, again.done, again.back, again.is_over)
    assert before == await rows_of(plant, *EVENTS)
    assert figures == await plant.rows()
    assert [[]] == await rows_of(plant, dirty_hours)
    assert 0 == (await back(plant, rules)).back
    assert before == await rows_of(plant, *EVENTS)


async def test_both_formats_have_the_same_fingerprint_and_exact_sums(plant: Plant, rules: Rules) -> None:
    old = await filled(plant)
    await archived(plant, rules)
    (first,) = await parts(plant)
    await back(plant, rules)
    await plant.usage.write(lambda tx: tx.conn.execute(sa.delete(archives)))

    await archived(plant, replace(rules, format="parquet"))

    (second,) = await parts(plant)
    assert first.fingerprint == second.fingerprint
    assert first.sums == second.sums
    sizes = [one.size for one in old if one.type == "api" and one.size not in {None, "", "1e3"}]
    assert sum(Fraction(size) for size in sizes) == Fraction(first.sums["api"]["sums"]["size"])
    assert len([one for one in old if one.type == "api"]) == first.sums["api"]["n"]
    table = pyarrow.parquet.read_table(rules.folder / str(PID) / second.file)
    assert len(old) + 3 == table.num_rows
    lines = gzip.decompress((rules.folder / str(PID) / first.file).read_bytes()).decode().splitlines()
    assert {one.name for one in old} == {json.loads(line)["transaction_id"] for line in lines}


async def test_what_is_archived_already_is_not_archived_again(plant: Plant, rules: Rules) -> None:
    await filled(plant)
    await archived(plant, rules)

    assert Let() == await archived(plant, rules, now=DUE + HOUR)


# --- what must not go


async def test_a_day_that_is_not_proved_stays_whole(plant: Plant, rules: Rules) -> None:
    """As pruning holds it: its windows could change yet."""
    await filled(plant, close=(NEXT,))
    before = await rows_of(plant, *EVENTS)

    told = await archived(plant, rules)

    assert (0, 1) == (told.days, told.held)
    assert before == await rows_of(plant, *EVENTS)
    assert not rules.folder.exists()


async def test_a_day_that_waits_to_be_folded_stays_whole(plant: Plant, rules: Rules) -> None:
    old = await filled(plant)
    await plant.send(replace(old[0], number=900))

    told = await archived(plant, rules)

    assert (0, 1) == (told.days, told.held)


async def test_a_file_that_is_not_what_was_written_lets_nothing_go(
    plant: Plant, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off after the file was named in a row: the next run looks at the file before anything goes."""
    await filled(plant)
    before = await rows_of(plant, *EVENTS)

    async def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(let_go, "_finish", killed)
        with pytest.raises(KeyboardInterrupt):
            await archived(plant, rules)
    (part,) = await parts(plant)
    assert None is part.let_go_at
    path = rules.folder / str(PID) / part.file
    whole = path.read_bytes()
    lines = gzip.decompress(whole).splitlines(keepends=True)
    for damaged in (whole[:-20], gzip.compress(b"".join(lines[1:])), gzip.compress(b"".join([*lines, lines[0]]))):
        path.write_bytes(damaged)

        told = await archived(plant, rules)

        assert (0, 0, True) == (told.days, told.gone, part.file in told.wrong[0])
        assert before == await rows_of(plant, *EVENTS)
    path.write_bytes(whole)
    assert part.n_events == (await archived(plant, rules)).gone


async def test_it_goes_on_from_wherever_it_was_cut_off(
    plant: Plant, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each of its steps, as often as there are any; at the end it is as if nobody had."""
    old = await filled(plant)
    before = (await rows_of(plant, *EVENTS))[0]
    monkeypatch.setattr(let_go, "PIECE", 4)
    n_cuts, cut_at = 0, 1
    while True:
        n = 0

        async def fence(cut_at: int = cut_at) -> None:
            nonlocal n
            n += 1
            if n == cut_at:
                raise KeyboardInterrupt

        try:
            await archived(plant, rules, fence=fence)
            break
        except KeyboardInterrupt:
            n_cuts, cut_at = n_cuts + 1, cut_at + 1
            here = {row[1] for row in (await rows_of(plant, events))[0]}
            in_file = {row.id for part in await parts(plant) for row in files.rows_in(
                rules.folder / str(PID) / part.file, part.format)}  # fmt: skip
            assert {row[1] for row in before} <= here | in_file  # nothing is nowhere
            await remove_strays(plant.usage, PID, rules)

    assert n_cuts > 3
    (part,) = await parts(plant)
    assert (len(old), part.file) == (part.n_events, next((rules.folder / str(PID)).iterdir()).name)
    await back(plant, rules)
    assert before == (await rows_of(plant, events))[0]


async def test_what_a_cut_off_run_left_on_the_disk_goes_and_other_files_stay(plant: Plant, rules: Rules) -> None:
    await filled(plant)
    await archived(plant, rules)
    folder = rules.folder / str(PID)
    named = {path.name for path in folder.iterdir()}
    for name in ("2026-11-25.1.ndjson.gz.new", "2026-11-25.1.ndjson.gz", "notes.txt", "2026.ndjson.gz"):
        (folder / name).write_bytes(b"x")

    assert 2 == await remove_strays(plant.usage, PID, rules)

    assert {*named, "notes.txt", "2026.ndjson.gz"} == {path.name for path in folder.iterdir()}


async def test_a_disk_that_cannot_be_written_is_said_in_words_and_nothing_goes(plant: Plant, rules: Rules) -> None:
    await filled(plant)
    before = await rows_of(plant, *EVENTS)
    rules.folder.write_bytes(b"a file")

    told = await archived(plant, rules)

    assert (0, True) == (told.days, str(rules.folder) in told.wrong[0]), told.wrong
    assert before == await rows_of(plant, *EVENTS)


async def test_what_there_is_no_time_for_is_left_to_the_next_run(plant: Plant, rules: Rules) -> None:
    await filled(plant)

    assert 1 == (await archived(plant, rules, has_time=lambda: False)).left
    assert 1 == (await archived(plant, rules)).days


# --- calls alone


async def test_of_calls_alone_the_others_stay_until_events_go(plant: Plant, rules: Rules) -> None:
    old = await filled(plant, close=())
    calls = [replace(one, number=one.number + 1_000, type="api.call") for one in old[:5]]
    await plant.send(*calls)
    for day in (DAY, NEXT):
        await Closer(plant.usage, plant.folder, plant.clock, plant.ids).close(PID, day, BERLIN)
    rules = replace(rules, calls_only=True)
    figures = await plant.rows()

    told = await archived(plant, rules)

    assert (5, 5) == (told.events, told.gone)
    assert N == len((await rows_of(plant, events))[0])
    assert Let() == await archived(plant, rules, now=DUE + HOUR)
    later = DUE + timedelta(days=310)

    async def spared(day: Any) -> bool:
        async with plant.usage.read() as read:
            return await stays(read, PID, day.date, now=later, is_on=True)

    gone = await remove_old(plant.usage, PID, BERLIN, keep=timedelta(days=400), now=later, fence=ours, spared=spared)
    assert (len(old), 0) == (gone.events, gone.held)
    assert figures == await plant.rows()


async def test_a_day_without_calls_is_looked_at_once(plant: Plant, rules: Rules) -> None:
    await filled(plant)
    rules = replace(rules, calls_only=True)

    assert (0, 0) == ((told := await archived(plant, rules)).days, told.held)
    assert [] == await parts(plant)
    assert 1 == len((await rows_of(plant, archives))[0])
    with pytest.raises(NotFoundError, match="nothing of 2026-11-26 is archived"):
        await verify(plant.usage, PID, DAY, rules.folder)


# --- pruning beside it


async def test_what_is_in_no_file_yet_is_not_pruned_where_events_are_archived(plant: Plant, rules: Rules) -> None:
    await filled(plant)
    later = DUE + timedelta(days=400)
    plant.clock.move_to(later)

    async def pruned(*, is_on: bool) -> tuple[int, int]:
        async def spared(day: Any) -> bool:
            async with plant.usage.read() as read:
                return await stays(read, PID, day.date, now=later, is_on=is_on)

        gone = await remove_old(
            plant.usage, PID, BERLIN, keep=timedelta(days=400), now=later, fence=ours, spared=spared
        )
        return gone.events, gone.held

    assert (0, 2) == await pruned(is_on=True)
    await archived(plant, rules, now=later)
    await back(plant, rules, now=later)
    assert (0, 1) == await pruned(is_on=False)  # somebody has put it back to look at it
    assert 0 < len((await rows_of(plant, events))[0])


async def test_a_day_that_was_put_back_stays_for_a_while_and_goes_again(plant: Plant, rules: Rules) -> None:
    old = await filled(plant)
    await archived(plant, rules)
    await back(plant, rules)
    (written,) = [path.stat().st_mtime_ns for path in (rules.folder / str(PID)).iterdir()]

    other = await archived(plant, rules, now=DUE + HOUR + STAY - timedelta(minutes=1))
    assert (1, N - len(old)) == (other.days, other.gone)  # of the next day, which has become due
    assert len(old) == len((await rows_of(plant, events))[0])
    told = await archived(plant, rules, now=DUE + HOUR + STAY)

    assert (0, len(old), 0) == (told.days, told.gone, len((await rows_of(plant, events))[0]))
    _, part = await parts(plant)
    assert (DAY, None) == (part.day, part.restored_until)
    assert written == (rules.folder / str(PID) / part.file).stat().st_mtime_ns


async def test_what_comes_to_a_day_after_it_was_archived_has_a_file_of_its_own(plant: Plant, rules: Rules) -> None:
    old = await filled(plant)
    await archived(plant, rules)
    figures = await plant.rows()
    await plant.send(replace(old[0], number=900))  # events are kept for longer in this test
    await plant.fold()

    await archived(plant, rules, now=DUE + HOUR)

    assert [(2, 1), (1, len(old))] == [(part.part, part.n_events) for part in await parts(plant)]
    assert figures == await plant.rows()
    assert len(old) + 1 == (await back(plant, rules)).back


# --- bringing back


async def test_it_comes_back_piece_by_piece_and_says_how_far_it_is(
    plant: Plant, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await filled(plant)
    before = await rows_of(plant, *EVENTS)
    await archived(plant, rules)
    monkeypatch.setattr("heartfly.usage.archive.restore.MOST", 7)
    done, n = 0, 0
    while True:
        told = await back(plant, rules, after=done)
        assert done < told.done <= done + 7
        done, n = told.done, n + told.back
        if told.is_over:
            break

    assert (len(old), len(old) + 3) == (n, done)
    assert before == await rows_of(plant, *EVENTS)


async def test_a_damaged_or_missing_file_brings_nothing_back(plant: Plant, rules: Rules) -> None:
    await filled(plant)
    await archived(plant, rules)
    before = await rows_of(plant, *EVENTS)
    (path,) = (rules.folder / str(PID)).iterdir()
    content = path.read_bytes()
    lines = gzip.decompress(content).splitlines(keepends=True)
    for damaged in (
        content[:-9], b"", content[:100] + b"\0" + content[101:], gzip.compress(b"".join(lines[1:])),
        gzip.compress(b"".join(lines).replace(b"api", b"apx", 1)), gzip.compress(b"".join(lines) + b"{}\n"),
        gzip.compress(b"".join(lines)[:-1]),
    ):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=path.name):
            await back(plant, rules)
        (looked,) = await verify(plant.usage, PID, DAY, rules.folder)
        assert looked.wrong
    path.unlink()

    with pytest.raises(NotFoundError, match="is not there"):
        await back(plant, rules)
    assert before == await rows_of(plant, *EVENTS)


async def test_who_has_put_a_day_back_is_in_the_audit(plant: Plant, rules: Rules) -> None:
    old = await filled(plant)
    await archived(plant, rules)
    await back(plant, rules)

    async with plant.usage.read() as read:
        (entry,) = (await read.execute(sa.select(usage_audit))).all()
    assert ("cli", "usage.restore", "usage_day:2026-11-26", len(old)) == (
        entry.actor, entry.action, entry.object, entry.after["n_events"],
    )  # fmt: skip


async def test_an_event_that_came_under_the_same_name_since_keeps_it(plant: Plant, rules: Rules) -> None:
    old = await filled(plant)
    await archived(plant, rules)
    await plant.send(replace(old[0], at=DUE))
    (newer,) = [row for row in (await rows_of(plant, events))[0] if row[6] == old[0].name]

    await back(plant, rules)

    known = {row[2] for row in (await rows_of(plant, event_ids))[0]}
    assert newer[1] in known
    assert 2 == len([row for row in (await rows_of(plant, events))[0] if row[6] == old[0].name])


# --- who was erased


async def test_who_was_erased_stays_away_and_goes_from_the_files(plant: Plant, rules: Rules) -> None:
    old = await filled(plant)
    await archived(plant, rules)
    his = [one for one in old if one.subject == "c-1"]
    assert his

    def erase(tx: Tx) -> None:
        note_erased(tx, PID, ["c-1"], at=DUE, ids=plant.ids)

    await plant.usage.write(erase)
    told = await back(plant, rules)
    assert (len(his), len(old) - len(his)) == (told.erased, told.back)

    n = await rewrite(plant.usage, PID, rules, fence=ours)

    assert 1 == n
    (part,) = await parts(plant)
    assert ("2026-11-26.1.1.ndjson.gz", len(old) - len(his)) == (part.file, part.n_events)
    (path,) = (rules.folder / str(PID)).iterdir()
    assert b"c-1" not in gzip.decompress(path.read_bytes())
    assert [""] == [one.wrong for one in await verify(plant.usage, PID, DAY, rules.folder)]
    assert 0 == await rewrite(plant.usage, PID, rules, fence=ours)
    await plant.usage.write(lambda tx: note_erased(tx, PID, ["c-2"], at=DUE, ids=plant.ids))
    await rewrite(plant.usage, PID, rules, fence=ours)
    assert ["2026-11-26.1.2.ndjson.gz"] == [one.file for one in await parts(plant)]


async def test_who_is_erased_while_a_day_comes_back_does_not_come_back_with_it(
    plant: Plant, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noted after the files were read, and before the first piece is put back."""
    old = await filled(plant)
    await archived(plant, rules)
    n_his = len([one for one in old if one.subject == "c-1"])

    async def erased() -> None:
        await plant.usage.write(lambda tx: note_erased(tx, PID, ["c-1"], at=DUE, ids=plant.ids))

    read_before(monkeypatch, erased)
    told = await back(plant, rules)

    assert (n_his, len(old) - n_his) == (told.erased, told.back)


async def test_a_file_that_is_written_anew_while_its_day_comes_back_is_asked_for_again(
    plant: Plant, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who went from it is noted nowhere any more, and is in what was read of it before."""
    old = await filled(plant)
    await archived(plant, rules)
    before = await rows_of(plant, events)

    async def erased() -> None:
        await plant.usage.write(lambda tx: note_erased(tx, PID, ["c-1"], at=DUE, ids=plant.ids))
        assert 1 == await rewrite(plant.usage, PID, rules, fence=ours)

    with monkeypatch.context() as patch:
        read_before(patch, erased)
        with pytest.raises(StoreError, match="written anew meanwhile"):
            await back(plant, rules)

    assert before == await rows_of(plant, events)
    assert len([one for one in old if one.subject != "c-1"]) == (await back(plant, rules)).back


@pytest.mark.parametrize("begun", ["after he was noted", "before"])
async def test_who_is_erased_while_his_first_file_is_written_goes_from_that_file(
    db: Database, plant: Plant, rules: Rules, monkeypatch: pytest.MonkeyPatch, begun: str
) -> None:
    """No row named any file as the erasure began, and his events were read for one before they went."""
    old = await filled(plant)
    uuid, _ = await plant.usage.write(
        lambda tx: create_customer(tx, PID, name="Ada", wanted=["c-1"], actor=Actor("cli"), at=NOW, ids=plant.ids)
    )

    async def erase() -> None:
        await erase_customer(
            plant.usage, db, PID, uuid, rev=None, actor=Actor("cli"), at=DUE, ids=plant.ids, sealer=SEALER
        )

    with monkeypatch.context() as patch:
        if begun == "before":
            patch.setattr(let_go, "write_day", followed(write_day, erase))
            await archived(plant, rules)
        else:
            patch.setattr(plant.usage, "write", preceded(plant.usage.write, 3, lambda: archived(plant, rules)))
            await erase()
    assert len(old) == (await parts(plant))[0].n_events

    assert 1 == await rewrite(plant.usage, PID, rules, fence=ours)

    assert len([one for one in old if one.subject != "c-1"]) == (await parts(plant))[0].n_events
    assert [[]] == await rows_of(plant, archive_erasures)


async def test_what_stands_for_a_file_that_is_being_written_goes_with_it_and_holds_up_nothing(
    plant: Plant, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await filled(plant)

    async def killed() -> None:
        raise KeyboardInterrupt

    async def cut_off() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(let_go, "write_day", followed(write_day, killed))
            with pytest.raises(KeyboardInterrupt):
                await archived(plant, rules)
        assert ([], 1) == (await parts(plant), len((await rows_of(plant, archives))[0]))

    await cut_off()
    assert 0 == (await archived(plant, replace(rules, calls_only=True))).days, "there are no calls"
    await plant.usage.write(lambda tx: tx.conn.execute(sa.delete(archives)))
    await cut_off()
    assert 1 == await remove_strays(plant.usage, PID, rules)
    assert [[]] == await rows_of(plant, archives)
    await cut_off()
    assert (1, len(old)) == ((told := await archived(plant, rules)).days, told.gone)
    assert [1] == [row[2] for row in (await rows_of(plant, archives))[0]]


def followed(one: Callable[..., Awaitable[Any]], by: Callable[[], Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def both(*given: Any, **more: Any) -> Any:
        found = await one(*given, **more)
        await by()
        return found

    return both


def preceded(
    one: Callable[..., Awaitable[Any]], nth: int, by: Callable[[], Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """Its nth call."""
    numbers = count(1)

    async def both(*given: Any, **more: Any) -> Any:
        if next(numbers) == nth:
            await by()
        return await one(*given, **more)

    return both


def read_before(patch: pytest.MonkeyPatch, what: Callable[[], Awaitable[Any]]) -> None:
    """The rows of a day's files are read, and then that happens before the first is put back."""
    rows, loop = restoring._rows, asyncio.get_running_loop()

    def both(*given: Any) -> list[Row]:
        found = rows(*given)
        asyncio.run_coroutine_threadsafe(_run(what), loop).result(60)
        return found

    patch.setattr(restoring, "_rows", both)


async def _run(what: Callable[[], Awaitable[Any]]) -> None:
    await what()


async def test_where_nothing_is_archived_nobody_s_name_is_kept(plant: Plant) -> None:
    await plant.usage.write(lambda tx: note_erased(tx, PID, ["c-1"], at=DUE, ids=plant.ids))

    async with plant.usage.read() as read:
        assert [] == (await read.execute(sa.select(archive_erasures))).all()


# --- rows


def test_a_row_is_a_line_and_a_line_a_row_whatever_is_in_it() -> None:
    row = Row(7, None, DUE, NOW, 'a","properties":{"x', "ü\\", "t\u2028", '{"a":{"b":1.50},"c":"}"}', "00ff")
    for one in (row, row._replace(against=3, properties="{}", known_by="")):
        assert one == row_of(line_of(one))
    for line in (b"", b"{}", b'{"id":1,"properties":{}}', b"null"):
        with pytest.raises(StoreError, match="none of an archive"):
            row_of(line)
