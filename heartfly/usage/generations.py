"""Writing what was folded: a new generation in slices, and then one pointer moves.

    begin   the window says which generation is being written; whoever writes another is fenced off from then on
    put     a slice of its rows, as often as it takes; nobody reads them yet
    switch  it counts, at once and whole; the hour is clean if no event came meanwhile; its day has changed
    sweep   what the former one left, and what was cut off; then the window knows that nothing is left

Killed at any point, the former generation stands whole, and the mark on the hour says that there is work. Killed before
the sweep, the window still says `unswept`, and whoever folds next sweeps it, whether or not anything more comes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

import sqlalchemy as sa

from heartfly.core.aggregate import Partial
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource, first_id
from heartfly.db.models import dirty_hours, proofs, rollups, uncounted, unique_values, usage_days, usage_groups, windows
from heartfly.db.prepared import Prepared
from heartfly.errors import HeartflyError
from heartfly.usage.call_rows import Numbers, call_rows, name_calls
from heartfly.usage.calls import Calls
from heartfly.usage.fold import BY_GROUP, BY_SUBJECT, NO_GROUP, TIER_DAY, TIER_HOUR, Folded, Key
from heartfly.usage.request_rows import name_endpoints, request_rows
from heartfly.usage.requests import Requests

SLICE = 500
"""Rows that are written in one transaction: some milliseconds, so that events do not wait."""
_CUBES = (BY_SUBJECT, BY_GROUP)
_LONGEST_DAY = timedelta(hours=50)
"""No day of any zone is longer (a zone that moved across the date line had one of 48 hours)."""


class OvertakenError(HeartflyError):
    """Another process writes this window by now: of ours nothing counts."""


class SealedError(HeartflyError):
    """The events of this window are gone: what it came to stays as it is."""


@dataclass(slots=True)
class Generation:
    pid: int
    tier: str
    folded: Folded
    gen: int
    groups: Mapping[str, int] = field(default_factory=dict)
    rows: list[tuple[Prepared, dict[str, Any]]] = field(default_factory=list)
    more: Requests | None = None
    more_calls: Calls | None = None
    """What makes further rows, slice by slice: an hour may have tens of thousands."""
    numbers: Numbers = field(default_factory=dict)
    """Of what calls' amounts are of."""

    @property
    def start_at(self) -> datetime:
        return self.folded.from_at

    def slices(self) -> Iterator[Sequence[tuple[Prepared, dict[str, Any]]]]:
        requests = () if self.more is None else request_rows(self.pid, self.tier, self.start_at, self.gen, self.more)
        calls: Iterator[tuple[Prepared, dict[str, Any]]] = iter(())
        if self.more_calls is not None:
            calls = call_rows(self.pid, self.tier, self.start_at, self.gen, self.more_calls, numbers=self.numbers)
        rows = chain(self.rows, requests, calls)
        while some := list(islice(rows, SLICE)):
            yield some

    @property
    def n_rows(self) -> int:
        more = (one.n_rows(self.tier) for one in (self.more, self.more_calls) if one is not None)
        return len(self.rows) + sum(more)

    @property
    def is_small(self) -> bool:
        return self.more is None and self.more_calls is None and len(self.rows) <= SLICE


def begin(tx: Tx, it: Generation) -> bool:
    """Whether anything was written of this window before. SealedError: it is not to be written any more.

    OvertakenError: an hour was folded by somebody else since its events were read, perhaps with more of them.
    """
    before = tx.conn.execute(sa.select(windows.c.pid).where(*_is(it))).first()
    values = {"pid": it.pid, "tier": it.tier, "start_at": it.start_at, "end_at": it.folded.to_at}
    values |= {"next_gen": it.gen, "n_events": 0, "ids_sum": bytes(16), "stale": False}
    insert = tx.insert(windows).values(values)
    ours: list[sa.ColumnElement[bool]] = [windows.c.sealed_at.is_(None)]
    if it.tier == TIER_HOUR:
        ours.append(windows.c.gen.is_not_distinct_from(it.folded.replaces))
    upsert = insert.on_conflict_do_update(
        index_elements=["pid", "tier", "start_at"], set_={"next_gen": it.gen, "unswept": True}, where=sa.and_(*ours)
    )
    # Of an insert SQLAlchemy keeps the count only when it is asked to: on PostgreSQL it reads what came back first.
    if tx.conn.execute(upsert.execution_options(preserve_rowcount=True)).rowcount != 1:
        if tx.conn.execute(sa.select(windows.c.sealed_at).where(*_is(it))).scalar() is None:
            raise OvertakenError("another process has folded this window")
        raise SealedError("the events of this window are not kept any more")
    return before is not None


def name_groups(tx: Tx, it: Generation, *, ids: IdSource, now: datetime) -> None:
    """Give each group and endpoint its number, and make the rows, or those that there are few of."""
    texts = {key.group for key in it.folded.partials if key.group}
    digests = {hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(): text for text in texts}
    known = _numbers(tx, it.pid, digests)
    new = [
        {"pid": it.pid, "id": ids.next(now), "digest": digest, "texts": text}
        for digest, text in sorted(digests.items())
        if text not in known
    ]
    if new:
        # Another node may make the same ones: whoever commits first has named them.
        tx.conn.execute(tx.insert(usage_groups).on_conflict_do_nothing(), new)
        known = _numbers(tx, it.pid, digests)
    it.groups = known
    it.rows = list(_rows(it))
    if (requests := it.folded.requests) is not None:
        name_endpoints(tx, it.pid, requests, ids=ids, now=now)
        if len(it.rows) + requests.n_rows(it.tier) <= SLICE:
            it.rows += request_rows(it.pid, it.tier, it.start_at, it.gen, requests)
        else:
            it.more = requests
    if (calls := it.folded.calls) is not None:
        it.numbers = name_calls(tx, it.pid, calls, ids=ids, now=now)
        if len(it.rows) + calls.n_rows(it.tier) <= SLICE:
            it.rows += call_rows(it.pid, it.tier, it.start_at, it.gen, calls, numbers=it.numbers)
        else:
            it.more_calls = calls


def _numbers(tx: Tx, pid: int, digests: Mapping[bytes, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    some = sorted(digests)
    for start in range(0, len(some), 500):
        query = sa.select(usage_groups.c.digest, usage_groups.c.id).where(
            usage_groups.c.pid == pid, usage_groups.c.digest.in_(some[start : start + 500])
        )
        found |= {digests[bytes(row.digest)]: row.id for row in tx.conn.execute(query)}
    return found


def _rows(it: Generation) -> Iterator[tuple[Prepared, dict[str, Any]]]:
    """In the order of the tables' keys, so that they go in side by side."""
    window: dict[str, Any] = {"pid": it.pid, "start_at": it.start_at, "gen": it.gen}
    partials = sorted(it.folded.partials.items(), key=lambda one: _place(it, one[0]))
    for key, partial in partials:
        yield _INSERT_ROLLUPS, _rollup(it, key, partial)
    if it.tier != TIER_HOUR:
        return
    grouped = {key.version_id for key in it.folded.partials if key.cube == BY_GROUP}
    for key, partial in partials:
        if key.cube == BY_GROUP or key.version_id not in grouped:
            of = window | {
                "version_id": key.version_id,
                "subject_id": key.subject_id,
                "group_id": it.groups.get(key.group, 0),
            }
            for value in sorted(partial.uniques):
                yield _INSERT_UNIQUES, {**of, "value": value}
    for version_id, (n_missing, n_no_amount) in sorted(it.folded.uncounted.items()):
        counts = {"version_id": version_id, "n_missing": n_missing, "n_no_amount": n_no_amount}
        yield _INSERT_UNCOUNTED, window | counts


def _place(it: Generation, key: Key) -> tuple[int, int, int, int]:
    return key.version_id, key.cube, key.subject_id, it.groups.get(key.group, 0)


def _rollup(it: Generation, key: Key, partial: Partial) -> dict[str, Any]:
    latest_at, latest_id = partial.latest_place or (None, None)
    return {  # in one go: an hour may have tens of thousands
        "pid": it.pid,
        "tier": it.tier,
        "start_at": it.folded.from_at,
        "gen": it.gen,
        "version_id": key.version_id,
        "cube": key.cube,
        "subject_id": key.subject_id,
        "group_id": it.groups[key.group] if key.group != NO_GROUP else 0,
        "n": partial.n,
        "sum": partial.sum,
        "min": partial.min,
        "max": partial.max,
        "latest": partial.latest,
        "latest_at": latest_at,
        "latest_id": latest_id,
        "histogram": histogram_text(partial),
    }


def histogram_text(partial: Partial) -> str | None:
    if partial.histogram is None:
        return None
    return json.dumps(partial.histogram.written(), separators=(",", ":"), sort_keys=True)


def put(tx: Tx, it: Generation, rows: Sequence[tuple[Prepared, dict[str, Any]]]) -> None:
    _demand_ours(tx, it)
    by_table: dict[Prepared, list[dict[str, Any]]] = {}
    for statement, row in rows:
        by_table.setdefault(statement, []).append(row)
    for statement, some in by_table.items():
        statement.run(tx, some)


def _demand_ours(tx: Tx, it: Generation) -> None:
    query = sa.select(windows.c.next_gen).where(*_is(it))
    # Until this transaction ends nobody begins another generation.
    if tx.conn.execute(query.with_for_update(read=True) if tx.on_postgres else query).scalar() != it.gen:
        raise OvertakenError("another process folds this window")


def switch(tx: Tx, it: Generation) -> None:
    folded = it.folded
    values: dict[str, Any] = {
        "gen": it.gen,
        "next_gen": None,
        "seq": folded.seq,
        "n_events": folded.n_events,
        "stale": False,
        "thinned": False,
        "prices": None if folded.calls is None else folded.calls.version,
    }
    values |= {"ids_sum": folded.ids_bytes(), "end_at": folded.to_at}
    if tx.conn.execute(sa.update(windows).where(*_is(it), windows.c.next_gen == it.gen).values(values)).rowcount != 1:
        raise OvertakenError("another process folds this window")
    if it.tier == TIER_HOUR:
        _clean(tx, it)
        _touch_days(tx, it)


def _clean(tx: Tx, it: Generation) -> None:
    """An event that came while it was folded has moved the mark: then the hour stays dirty."""
    mine = (dirty_hours.c.pid == it.pid, dirty_hours.c.hour == it.start_at, dirty_hours.c.seq == it.folded.seq)
    tx.conn.execute(sa.delete(dirty_hours).where(*mine))


def _touch_days(tx: Tx, it: Generation) -> None:
    """Days that hold a part of this hour were made of what it was before."""
    near = (windows.c.start_at > it.start_at - _LONGEST_DAY, windows.c.start_at < it.folded.to_at)
    of_days = (windows.c.pid == it.pid, windows.c.tier == TIER_DAY, *near, windows.c.end_at > it.start_at)
    # And one that is being made of what the hour was is not to count. What is sealed stays as it is.
    tx.conn.execute(sa.update(windows).where(*of_days, windows.c.sealed_at.is_(None)).values(stale=True, next_gen=None))
    sealed = sa.exists().where(*of_days, windows.c.sealed_at.is_not(None), windows.c.start_at == usage_days.c.from_at)
    held = (usage_days.c.from_at > it.start_at - _LONGEST_DAY, usage_days.c.from_at < it.folded.to_at)
    closed = sa.update(usage_days).where(usage_days.c.pid == it.pid, *held, usage_days.c.to_at > it.start_at)
    tx.conn.execute(closed.where(usage_days.c.state.in_(("final", "amended")), ~sealed).values(state="provisional"))
    days = sa.select(usage_days.c.day).where(usage_days.c.pid == it.pid, *held, usage_days.c.to_at > it.start_at)
    doubted = sa.update(proofs).where(proofs.c.pid == it.pid, proofs.c.day.in_(days.where(~sealed)), ~proofs.c.moved)
    tx.conn.execute(doubted.values(moved=True))


def sweep(tx: Tx, it: Generation, versions: Collection[int]) -> None:
    """Remove what any other generation left of this window, but the one that is being written, and what was proved."""
    counts = sa.select(windows.c.gen, windows.c.next_gen, windows.c.proved_gen).where(*_is(it))
    if tx.on_postgres:
        counts = counts.with_for_update(read=True)  # until this ends nobody begins another one
    kept = [gen for gen in tx.conn.execute(counts).one() if gen is not None]
    of_versions = (rollups.c.pid == it.pid, rollups.c.version_id.in_(versions), rollups.c.cube.in_(_CUBES))
    at = (rollups.c.tier == it.tier, rollups.c.start_at == it.start_at)
    tx.conn.execute(sa.delete(rollups).where(*of_versions, *at, rollups.c.gen.not_in(kept)))
    if it.tier == TIER_HOUR:
        for table in (unique_values, uncounted):
            of_window = (table.c.pid == it.pid, table.c.version_id.in_(versions), table.c.start_at == it.start_at)
            tx.conn.execute(sa.delete(table).where(*of_window, table.c.gen.not_in(kept)))


def swept(tx: Tx, it: Generation) -> None:
    """After `sweep` of all versions. Whoever writes a generation at this moment sweeps once more, when it counts."""
    tx.conn.execute(sa.update(windows).where(*_is(it), windows.c.next_gen.is_(None)).values(unswept=False))


def unswept(before: datetime) -> sa.Select[Any]:
    """Windows of which something may be left, and that nobody writes: of a generation that was begun before that
    instant nobody writes any more.
    """
    w = windows.c
    nobody = sa.or_(w.next_gen.is_(None), w.next_gen < first_id(before))
    return sa.select(w.pid, w.tier, w.start_at, w.end_at, w.gen).where(w.unswept, nobody)


def abandon(tx: Tx, it: Generation, before: datetime) -> None:
    """Fence off whoever began a generation before that instant, so that its rows go too."""
    cut_off = (*_is(it), windows.c.next_gen < first_id(before))
    tx.conn.execute(sa.update(windows).where(*cut_off).values(next_gen=None))


def _is(it: Generation) -> tuple[sa.ColumnElement[bool], ...]:
    return windows.c.pid == it.pid, windows.c.tier == it.tier, windows.c.start_at == it.start_at


_INSERT_ROLLUPS = Prepared(lambda _: sa.insert(rollups))
_INSERT_UNIQUES = Prepared(lambda _: sa.insert(unique_values))
_INSERT_UNCOUNTED = Prepared(lambda _: sa.insert(uncounted))
