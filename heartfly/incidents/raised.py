"""Alerts of what is no check: an alert rule or a budget raises one, and ends it; each has its incident.

Called in the transaction that decided it. Who fires, when, and in which words, is decided by the caller; here is what
follows: one incident, one alert with its key, and a notification for each channel that hears of it. What is raised
under a key that is known changes nothing, and neither does the end of what is not open.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.core.alerts import Alert, ConcernFacts
from heartfly.core.values import replace
from heartfly.core.words import AlertKind, IncidentEnd, Reason
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource, public_ids
from heartfly.db.models import alerts, channels, incidents, projects, rule_alerts
from heartfly.db.prepared import among
from heartfly.incidents.spans import Incident
from heartfly.notify.outbox import Entry, enqueue

OF_RULE, OF_BUDGET = "rule", "budget"
_BEGINS = {OF_RULE: AlertKind.RULE_FIRING, OF_BUDGET: AlertKind.BUDGET_REACHED}
_ENDS = {OF_RULE: AlertKind.RULE_RESOLVED, OF_BUDGET: AlertKind.BUDGET_CLEARED}
_CAUSES = {OF_RULE: Reason.RULE, OF_BUDGET: Reason.BUDGET}
_END = ":end"
"""What the key of the alert that tells of an end has behind that of its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """`source_id`: what has at most one open incident. `key`: names the decision for ever, such as
    `rule:<id>:<scope>:<since>`. `channel_ids` None: all of the project; of either those that hear of this kind.
    """

    pid: int
    source_id: int
    key: str
    concern: ConcernFacts
    at: datetime
    explain: str
    channel_ids: Collection[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """`is_told` False: nobody hears of it, as when somebody deletes the rule."""

    pid: int
    source_id: int
    concern: ConcernFacts
    at: datetime
    explain: str
    by: IncidentEnd = IncidentEnd.RESOLVED
    channel_ids: Collection[int] | None = None
    is_told: bool = True


def raise_alerts(
    tx: Tx, raised: Sequence[Raised], *, ids: IdSource, now: datetime
) -> Mapping[tuple[int, str], Incident]:
    """The incident of each, by project and key. One whose source has an open incident is told, and belongs to that:
    a budget reaches one threshold after the other.
    """
    if not raised:
        return {}
    told = _told_before(tx, raised)
    fresh = [one for one in raised if (one.pid, one.key) not in told]
    opened = _open(tx, fresh)
    uuids = iter(public_ids(now, len(fresh)))
    rows: list[dict[str, Any]] = []
    entries: list[tuple[Raised | Ended, Alert]] = []
    found: dict[tuple[int, str], Incident] = {}
    names = _projects(tx, {one.pid for one in fresh})
    for one in fresh:
        if (one.pid, one.key) in found:
            continue
        its = (one.pid, one.concern.source, one.source_id)
        if its in opened:
            incident = opened[its].incident
        else:
            incident = Incident(ids.next(now), next(uuids))
            rows.append(_row(one, incident))
            opened[its] = _Open(incident, one.at, one.key)
        found[one.pid, one.key] = incident
        alert = _alert(one, _BEGINS[one.concern.source], one.key, project=names[one.pid], incident=incident, now=now)
        entries.append((one, alert))
    if rows:
        tx.conn.execute(sa.insert(incidents), rows)
    _tell(tx, entries, ids=ids, now=now)
    return told | found


def end_alerts(
    tx: Tx, ended: Sequence[Ended], *, ids: IdSource, now: datetime
) -> Mapping[tuple[int, str, int], Incident]:
    """Close the open incidents of these sources, and tell of it. Those that have none are left out of the answer."""
    opened = _open(tx, ended)
    names = _projects(tx, {one.pid for one in ended})
    entries: list[tuple[Raised | Ended, Alert]] = []
    found: dict[tuple[int, str, int], Incident] = {}
    for one in ended:
        its = (one.pid, one.concern.source, one.source_id)
        was = opened.pop(its, None)
        if was is None:
            continue
        found[its] = was.incident
        closed_at = max(one.at, was.at)
        tx.conn.execute(
            sa.update(incidents)
            .where(incidents.c.pid == one.pid, incidents.c.id == was.incident.id)
            .values(closed_at=closed_at, ended_by=one.by.value)
        )
        if one.is_told:
            kind, key, project = _ENDS[one.concern.source], f"{was.key}{_END}", names[one.pid]
            told = was.as_told(one)
            alert = _alert(told, kind, key, project=project, incident=was.incident, now=now, since=was.at)
            entries.append((told, alert))
    _tell(tx, entries, ids=ids, now=now)
    return found


def keys_of(alert_key: str | None) -> list[str]:
    """Of the alerts that tell of an incident: how it began, and how it ended."""
    return [] if alert_key is None else [alert_key, f"{alert_key}{_END}"]


@dataclass(frozen=True, slots=True)
class _Open:
    """`scope`: in the words in which people were told of its beginning; None: of no rule."""

    incident: Incident
    at: datetime
    key: str
    scope: str | None = None

    def as_told(self, ended: Ended) -> Ended:
        """With the scope as its beginning said it: of what is not seen any more only ids are at hand."""
        if self.scope is None:
            return ended
        return dataclasses.replace(ended, concern=replace(ended.concern, scope=self.scope))


def _told_before(tx: Tx, raised: Sequence[Raised]) -> dict[tuple[int, str], Incident]:
    """What has an incident under its key, whether anybody heard of it or not; or was told in the course of one."""
    pids, keys = list({one.pid for one in raised}), list({one.key for one in raised})
    query = sa.select(incidents.c.pid, incidents.c.id, incidents.c.uuid, incidents.c.alert_key).where(
        among(tx, incidents.c.pid, "pids"), among(tx, incidents.c.alert_key, "keys")
    )
    found = {
        (row.pid, row.alert_key): Incident(row.id, row.uuid)
        for row in tx.conn.execute(query, {"pids": pids, "keys": keys})
    }
    told = sa.select(alerts.c.pid, alerts.c.key, alerts.c.payload).where(
        among(tx, alerts.c.pid, "pids"), among(tx, alerts.c.key, "keys")
    )
    later: dict[str, list[tuple[int, str]]] = {}  # of one incident several may be told
    for row in tx.conn.execute(told, {"pids": pids, "keys": keys}):
        if (row.pid, row.key) not in found:
            later.setdefault(row.payload["incident"], []).append((row.pid, row.key))
    if later:
        known = sa.select(incidents.c.id, incidents.c.uuid).where(incidents.c.uuid.in_(later))
        for number, uuid in tx.conn.execute(known):
            found |= dict.fromkeys(later[uuid], Incident(number, uuid))
    return found


def _open(tx: Tx, of: Sequence[Raised | Ended]) -> dict[tuple[int, str, int], _Open]:
    if not of:
        return {}
    i, r = incidents.c, rule_alerts.c
    query = (
        sa.select(i.pid, i.id, i.uuid, i.source_kind, i.source_id, i.opened_at, i.alert_key, r.scope_words)
        .outerjoin(rule_alerts, sa.and_(r.pid == i.pid, r.incident_id == i.id))
        .where(
            among(tx, i.pid, "pids"),
            i.source_kind.in_(sorted({one.concern.source for one in of})),
            among(tx, i.source_id, "ids"),
            i.closed_at.is_(None),
        )
    )
    given = {"pids": list({one.pid for one in of}), "ids": list({one.source_id for one in of})}
    return {
        (row.pid, row.source_kind, row.source_id): _Open(
            Incident(row.id, row.uuid), row.opened_at, row.alert_key or row.uuid, row.scope_words
        )
        for row in tx.conn.execute(query, given)
    }


def _row(one: Raised, incident: Incident) -> dict[str, Any]:
    concern = one.concern
    return {
        "pid": one.pid,
        "id": incident.id,
        "uuid": incident.uuid,
        "source_kind": concern.source,
        "source_id": one.source_id,
        "source_uuid": concern.uuid,
        "source_name": f"{concern.name} ({concern.scope})" if concern.scope else concern.name,
        "explain": one.explain,
        "opened_at": one.at,
        "closed_at": None,
        "cause": _CAUSES[concern.source].value,
        "ended_by": None,
        "disproved": False,
        "acked_at": None,
        "acked_by": None,
        "alert_key": one.key,
        "part_of": None,
        "joined_at": None,
    }


def _alert(
    one: Raised | Ended,
    kind: AlertKind,
    key: str,
    *,
    project: tuple[str, str],
    incident: Incident,
    now: datetime,
    since: datetime | None = None,
) -> Alert:
    slug, name = project
    return Alert(
        key=key,
        kind=kind,
        project_slug=slug,
        project_name=name,
        at=one.at,
        decided_at=now,
        down_since=since,
        incident=incident.uuid,
        explain=one.explain,
        concern=one.concern,
    )


def _projects(tx: Tx, pids: Collection[int]) -> Mapping[int, tuple[str, str]]:
    query = sa.select(projects.c.id, projects.c.slug, projects.c.name).where(projects.c.id.in_(pids))
    return {row.id: (row.slug, row.name) for row in tx.conn.execute(query)}


def _tell(tx: Tx, telling: Sequence[tuple[Raised | Ended, Alert]], *, ids: IdSource, now: datetime) -> None:
    if not telling:
        return
    query = sa.select(channels.c.pid, channels.c.id, channels.c.events)
    rows = tx.conn.execute(query.where(channels.c.pid.in_({one.pid for one, _ in telling}))).all()
    entries = []
    for one, alert in telling:
        hearing = [
            row.id
            for row in rows
            if row.pid == one.pid
            and alert.kind.value in row.events
            and (one.channel_ids is None or row.id in one.channel_ids)
        ]
        source = f"{one.concern.source}:{one.source_id}"
        entries.append(Entry(pid=one.pid, source=source, alert=alert, channel_ids=hearing))
    enqueue(tx, entries, ids=ids, now=now)
