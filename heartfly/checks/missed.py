"""Many checks that missed their slots at one time: judged once, and written by columns.

A check that falls silent by itself goes the way of pings and commands (flips.py). When a thousand do, at midnight or
with a network, most of that way is spent on making and taking apart what is the same in all of them. Both ways write
the same rows; a test holds them together. Which checks are alike is decided in core/alike.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import compress
from typing import Any

import sqlalchemy as sa

from heartfly.checks.facts import NAMED, facts_of
from heartfly.checks.flips import Flipped, Taken, Telling, names_of, source_of
from heartfly.checks.rows import Stored, check_of, run_values
from heartfly.checks.wording import words_of
from heartfly.core.alerts import Alert, CauseFacts, flip_key
from heartfly.core.alike import judged_for_all
from heartfly.core.explain import last_heard, missed
from heartfly.core.slots import WATCHED
from heartfly.core.values import Blind, Check, Step, replace
from heartfly.core.words import PingKind, Reason
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import checks, flips, runs
from heartfly.db.prepared import Found, Prepared
from heartfly.db.types import micros
from heartfly.incidents.causes import group
from heartfly.incidents.fallen import Host, OpenCause, columns, hold, open_causes
from heartfly.incidents.hosts import Wells
from heartfly.incidents.spans import Facts, Incident, Turn, open_many, which_are_open
from heartfly.notify.outbox import Entry, enqueue, who_listens

FEW = 16
"""So many alike, and more, are worth statements of their own."""

_OWN = frozenset(
    {
        *("pid", "id", "uuid", "ping_uuid", "name", "slug", "slug_key", "tags", "description", "job"),
        *("kind", "expression", "period_s", "zone", "dialect"),
        *("methods", "filters", "filters_as_sent", "created_at", "updated_at", "old_ping_until"),
        *("client_fields", "wants_success", "host", "heard_host"),
        *("rev", "flip_no", "n_pings", "last_ping_at", "last_kind", "last_duration_us"),
        *("last_end_at", "last_end_node", "last_end_seq", "last_end_kind", "anchor_at", "late_told_at"),
        *("status_since", "expected_at", "goes_down_at", "wake_at"),
    }
)
"""What may differ between checks that are alike. A column that is not named here may not."""

_SAME = tuple(column.key for column in checks.columns if column.key not in _OWN)
_TIMES = (
    *("status_since", "expected_at", "goes_down_at", "wake_at", "status", "n_open_runs"),
    "linked",
)
_WATCHED = frozenset(status.value for status in WATCHED)
_WRITTEN = ("pid", "id", "uuid", "name", "rev", "flip_no", "expected_at", "goes_down_at")
_WORDED = ("expected_at", "goes_down_at", "kind", "period_s", "expression", "zone", "last_kind", "last_ping_at")

Rows = Sequence[tuple[Any, ...]]


def sort_out(found: Found, due: Rows) -> tuple[list[Rows], list[tuple[Any, ...]]]:
    """Groups of those that may be alike, as far as their rows tell; and the others."""
    if len(due) < FEW:
        return [], list(due)
    same, times = found.pick(*_SAME), found.pick(*_TIMES)
    groups: dict[Any, list[tuple[Any, ...]]] = {}
    others: list[tuple[Any, ...]] = []
    for row in due:
        since, opened, closes, wakes, status, n_open_runs, linked = times(row)
        # What a new check or a run under way needs to be judged by is read for those alone that are judged apart.
        # So is what one needs, or is needed by.
        is_plain = status in _WATCHED and not n_open_runs and not linked
        if not is_plain or opened is None or closes is None or wakes != closes or since > opened:
            others.append(row)
        else:
            groups.setdefault((closes - opened, same(row)), []).append(row)
    for alike in groups.values():
        if len(alike) < FEW:
            others += alike
    return [alike for alike in groups.values() if len(alike) >= FEW], others


def hold_causes(tx: Tx, found: Found, due: Rows) -> None:
    """Of all that are due, before any of them is written: those judged apart and those by columns may join the same
    causes, which two nodes would else take in different orders.
    """
    if tx.on_postgres and due:
        linked = [(pid, check_id) for pid, check_id, yes in map(found.pick("pid", "id", "linked"), due) if yes]
        hosts = {host for host in _hosts(found, due) if host[1]}
        pids = {pid for pid, _ in [*hosts, *linked]}
        hold(tx, pids, hosts, linked=[check_id for _, check_id in linked])


def _hosts(found: Found, rows: Rows) -> list[Host]:
    return [(pid, host or heard) for pid, host, heard in map(found.pick("pid", "host", "heard_host"), rows)]


@dataclass(frozen=True, slots=True)
class Missed:
    """Checks of which one was judged for all: `first`, as it was `before`, and what came of it."""

    rows: Rows
    first: Stored
    before: Check
    step: Step


def judged_as_one(
    tx: Tx, found: Found, group: Rows, *, through: datetime, blind: Sequence[Blind], now: datetime
) -> tuple[Missed | None, list[tuple[Any, ...]]]:
    """What became of the group; and those of it that have to be judged by themselves."""
    of_expected = found.names.index("expected_at")
    opened = [row[of_expected] for row in group]
    first, last = (found.value("expected_at", at) for at in (min(opened), max(opened)))
    row = found.told(group[:1])[0]
    before = check_of(row)
    stored = Stored(row, before, row.pid, row.id, body_bytes=row.body_bytes)
    step = judged_for_all(before, opened=(first, last), through=through, blind=blind, now=now)
    if step is None:
        return None, list(group)
    # Before there were incidents a check went down without one; what was left open ends where the next begins.
    ids = found.pick("pid", "id")
    still_open = which_are_open(tx, [ids(row) for row in group])
    if not still_open:
        return Missed(group, stored, before, step), []
    rows = [row for row in group if ids(row)[1] not in still_open]
    return Missed(rows, stored, before, step), [row for row in group if ids(row)[1] in still_open]


def record_missed(tx: Tx, found: Found, one: Missed, *, ids: IdSource, now: datetime, wells: Wells) -> None:
    """As `record` in flips.py, for all of them. `wells`: what is known of hosts from batches before."""
    n = len(one.rows)
    if not n:
        return
    pids, check_ids, uuids, names, revs, flip_nos, opened, closes = zip(
        *map(found.pick(*_WRITTEN), one.rows), strict=True
    )
    (flip,), (run,), after, before = one.step.flips, one.step.runs, one.step.check, one.before
    whose = {"pid": pids, "check_id": check_ids}
    counted = {"rev": _raised(revs, after.rev - before.rev), "flip_no": _raised(flip_nos, 1)}
    reason, status = flip.reason.value, flip.to_status.value
    each: dict[str, Sequence[Any]] = {"b_pid": pids, "b_id": check_ids, "status_since": closes, **counted}
    _UPDATE.fill(tx, n, each=each, same={"status": status, "status_reason": reason})

    run_ids = ids.several(now, n)
    each = {**whose, "id": run_ids, "slot_at": opened, "at": opened}
    _INSERT_RUNS.fill(tx, n, each=each, same=run_values(one.first, run))

    why, causes = _explained(found, one), _causes(tx, found, one)
    told_now = now if tx.on_postgres else micros(now)
    incidents = open_many(
        tx, pids=pids, check_ids=check_ids, uuids=uuids, names=names, opened=closes, explain=why,
        causes=columns(causes, closes, told_now) if any(causes) else {}, cause=flip.reason, ids=ids, now=now,
    )  # fmt: skip
    each = {**whose, "flip_no": counted["flip_no"], "at": closes, "run_id": run_ids}
    each["incident_id"] = [incident.id for incident in incidents]
    same = {"decided_at": now, "from_status": before.status.value, "to_status": status, "reason": reason}
    _INSERT_FLIPS.fill(tx, n, each=each, same=same | {"retracts_flip_no": None})
    belongs = [None if cause is None else cause.facts for cause in causes]
    if n > sum(cause is not None for cause in causes):
        belongs = _apart(tx, found, one, belongs, incidents, ids=ids, now=now, wells=wells)
    if flip.tell is not None:
        _tell(tx, found, one, why=why, incidents=incidents, causes=belongs, ids=ids, now=now)


def _causes(tx: Tx, found: Found, one: Missed) -> list[OpenCause | None]:
    """Of each what explains it, where that is known already."""
    hosts = _hosts(found, one.rows)
    known = open_causes(tx, {host for host in hosts if host[1]})
    if not known:
        return [None] * len(hosts)
    began = _began(found, one)
    causes = map(known.get, hosts)
    return [
        cause if cause is not None and cause.explains(at) else None for cause, at in zip(causes, began, strict=True)
    ]


def _began(found: Found, one: Missed) -> list[datetime]:
    """As `Facts.began_at` has it."""
    name = "expected_at" if one.step.flips[0].reason is Reason.MISSED else "goes_down_at"
    place, convert = found.names.index(name), lru_cache(lambda at: found.value(name, at))
    return [convert(row[place]) for row in one.rows]


def _apart(
    tx: Tx,
    found: Found,
    one: Missed,
    causes: list[CauseFacts | None],
    incidents: Sequence[Incident],
    *,
    ids: IdSource,
    now: datetime,
    wells: Wells,
) -> list[CauseFacts | None]:
    """Of those that have a host and no cause yet, each is asked for by itself, as if it had gone down alone."""
    (flip,), of_host = one.step.flips, found.pick("host", "heard_host")
    places = [n for n, row in enumerate(one.rows) if causes[n] is None and any(of_host(row))]
    if not places:
        return causes
    began = _began(found, one)
    rows = found.parts((one.rows[n] for n in places), *_TURNED)
    turns = [
        Turn(
            pid=row.pid,
            check_id=row.id,
            check_uuid=row.uuid,
            check_name=row.name,
            flip=replace(flip, flip_no=row.flip_no + 1, at=row.goes_down_at),
            explain="",
            facts=Facts(host=row.host or row.heard_host, linked=False, began_at=began[n], grace=one.before.rules.grace),
        )
        for n, row in zip(places, rows, strict=True)
    ]
    opened = {(turn.check_id, turn.flip.flip_no): incidents[n] for n, turn in zip(places, turns, strict=True)}
    grouped = group(tx, turns, opened, ids=ids, now=now, wells=wells).causes
    for n, turn in zip(places, turns, strict=True):
        causes[n] = grouped.get((turn.check_id, turn.flip.flip_no))
    return causes


_TURNED = ("pid", "id", "uuid", "name", "flip_no", "goes_down_at", "host", "heard_host")


def _raised(numbers: Iterable[int], by: int) -> list[int]:
    return [number + by for number in numbers]


_UPDATE = Prepared(
    lambda _: (
        sa.update(checks)
        .where(checks.c.pid == sa.bindparam("b_pid"), checks.c.id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(name) for name in ("status", "status_since", "status_reason", "rev", "flip_no")})
        .values({name: sa.null() for name in ("expected_at", "goes_down_at", "wake_at")})
    ),
    apart=True,
)
_INSERT_RUNS = Prepared(lambda _: sa.insert(runs))
_INSERT_FLIPS = Prepared(lambda _: sa.insert(flips))


def _explained(found: Found, one: Missed) -> list[str]:
    grace, heard, schedule = one.before.rules.grace, _heard_words(found), lru_cache(words_of)

    @lru_cache
    def silent(opened: Any, closes: Any, words: str) -> str:
        return missed(found.value("expected_at", opened), found.value("goes_down_at", closes), grace, schedule=words)

    return [
        silent(opened, closes, schedule(kind, period_s, expression, zone)) + heard(last_ping_at, last_kind)
        for opened, closes, kind, period_s, expression, zone, last_kind, last_ping_at in map(
            found.pick(*_WORDED), one.rows
        )
    ]


def _heard_words(found: Found) -> Callable[[Any, str | None], str]:
    def words(at: Any, kind: str | None) -> str:
        return last_heard(found.value("last_ping_at", at), None if kind is None else PingKind(kind))

    return lru_cache(words)


def _tell(
    tx: Tx,
    found: Found,
    one: Missed,
    *,
    why: Sequence[str],
    incidents: Sequence[Incident],
    causes: Sequence[CauseFacts | None],
    ids: IdSource,
    now: datetime,
) -> None:
    pids, check_ids = zip(*map(found.pick("pid", "id"), one.rows), strict=True)
    listening = who_listens(tx, set(pids), set(check_ids))
    if not listening:
        return
    heard = [check_id in listening for check_id in check_ids]
    rows = found.parts(compress(one.rows, heard), *_TOLD)
    projects = names_of(tx, {row.pid for row in rows})
    common = _told_of_first(one, now)
    entries: list[Entry] = []
    those = (compress(each, heard) for each in (why, incidents, causes))
    for row, words, incident, cause in zip(rows, *those, strict=True):
        slug, name = projects.get(row.pid, ("", ""))
        facts = facts_of(
            row,
            n_pings=row.n_pings,
            last_ping_at=row.last_ping_at,
            last_kind=None if row.last_kind is None else PingKind(row.last_kind),
            last_duration=None if row.last_duration_us is None else timedelta(microseconds=row.last_duration_us),
            expected_at=row.expected_at,
            host=row.host or row.heard_host,
        )
        alert = replace(
            common,
            key=flip_key(row.id, row.flip_no + 1),
            project_slug=slug,
            project_name=name,
            at=row.goes_down_at,
            check=facts,
            incident=incident.uuid,
            explain=words,
            cause=cause,
        )
        entries.append(Entry(pid=row.pid, source=source_of(row.id), alert=alert, check_ids=(row.id,)))
    enqueue(tx, entries, ids=ids, now=now, listening=listening)


_TOLD = (
    *("pid", "id", "flip_no", "goes_down_at", "expected_at"),
    *("n_pings", "last_ping_at", "last_kind", "last_duration_us", "host", "heard_host"),
    *NAMED,
)


def _told_of_first(one: Missed, now: datetime) -> Alert:
    """Worded as each flip is, of the check that was judged."""
    (flip,) = one.step.flips
    flipped = Flipped(why={(one.first.id, flip.flip_no): ""})
    return Telling(Taken(one.first, one.before, one.step), "", "", now=now).flipped(flip, flipped).alert
