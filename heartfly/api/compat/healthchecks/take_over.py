"""Checks of another server that speaks this API, taken over as it tells them: with the addresses that jobs ping.

What is taken over once is the same the second time. What somebody has set here since is never overwritten unless that
is asked for: it is told, field by field. What the other server does not tell (of a channel all but its name) is told,
too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from heartfly.api.compat.healthchecks.asked import SaidNoError
from heartfly.api.compat.healthchecks.badges import address_in
from heartfly.api.compat.healthchecks.checks import create, update
from heartfly.api.compat.healthchecks.forms import Around, check_form
from heartfly.api.compat.healthchecks.spec import UNNAMED, read_spec
from heartfly.audit.record import Actor
from heartfly.checks import commands
from heartfly.checks.owned import heard_by
from heartfly.checks.queries import UUID
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import addresses, badge_addresses, channels, checks
from heartfly.errors import HeartflyError
from heartfly.public.badges import ALL, CHECK, TAG

_VERSION = 3
_MOST_TOLD, _LONGEST_TOLD = 50, 200
_FIELDS = (
    *("name", "slug", "tags", "desc", "grace", "timeout", "schedule", "tz", "manual_resume", "methods"),
    *("start_kw", "success_kw", "failure_kw"),
    *("filter_subject", "filter_body", "filter_http_body", "filter_default_fail"),
)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_TAG = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,50}")
_RUNS = frozenset({"up", "grace", "started"})


class FieldDifference(msgspec.Struct, frozen=True):
    """Both as the API of Healthchecks tells them; null: it is not told."""

    field: str
    theirs: Any
    ours: Any


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a check. `outcome`: new, same, differs, updated, refused. `uuid`: its public id here."""

    name: str
    address: str
    outcome: str
    uuid: str | None = None
    differences: Sequence[FieldDifference] = ()
    notes: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class TakingOver:
    """Into one project. `theirs`: the name of each channel there, by its id. `updates`: what differs is made so."""

    pid: int
    actor: Actor
    ids: IdSource
    at: datetime
    base_url: str
    most: int
    theirs: Mapping[str, str] = field(default_factory=dict)
    updates: bool = False
    n_new_badges: int = 0
    """Addresses of badges that were not known before."""

    def take(self, tx: Tx, form: Mapping[str, Any]) -> Taken:
        """One check, as `GET /checks/` told it to a key that may write. What is wrong with it leaves no trace."""
        name, address = (str(form.get(part) or "") for part in ("name", "uuid"))
        try:
            if not UUID.fullmatch(address.lower()):
                return Taken(name, address, "refused", notes=["it has no uuid: the key must be one that may write"])
            with tx.conn.begin_nested():
                return self._take(tx, form, name, address.lower())
        except SaidNoError as error:
            return Taken(name, address, "refused", notes=[_text(error)])
        except HeartflyError as error:
            return Taken(name, address, "refused", notes=[str(error)])

    def take_badges(self, tx: Tx, urls: Mapping[str, Mapping[str, str]]) -> None:
        """Of tags, and of all under `*`, as `GET /badges/` told them."""
        for tag, by_kind in urls.items():
            address = address_in(by_kind.get("svg", ""))
            if address is not None and _TAG.fullmatch(tag):
                self._badge(tx, address, of=ALL if tag == "*" else TAG, tag="" if tag == "*" else tag)

    def _take(self, tx: Tx, form: Mapping[str, Any], name: str, address: str) -> Taken:
        # Another Heartfly has shorter ones than theirs can be: what we can have is taken, and ours is the limit told.
        spec = read_spec({key: form[key] for key in _FIELDS if form.get(key) is not None}, least_s=None)
        heard, notes = self._channels(tx, str(form.get("channels") or ""))
        row = self._row(tx, address)
        if row is None:
            uuid = create(
                tx, self.pid, {**spec, "channels": ",".join(heard)}, version=_VERSION, actor=self.actor, most=self.most,
                at=self.at, ids=self.ids, ping_uuid=address, first_ping_by=self._first_ping_by({"grace": 3600, **form}),
            )  # fmt: skip
            if form.get("status") == "paused":
                commands.pause(tx, self.pid, uuid, at=self.at, ids=self.ids, actor=self.actor)
            row = self._row(tx, address)
            self._badge_of(tx, form, row.id)
            return Taken(name, address, "new", uuid, notes=notes)
        self._badge_of(tx, form, row.id)
        differences = self._differences(tx, row, form, heard)
        if not differences or not self.updates:
            return Taken(name, address, "differs" if differences else "same", row.uuid, differences, notes)
        wanted = {**spec, "channels": ",".join(heard)}
        update(tx, self.pid, row.uuid, wanted, version=_VERSION, actor=self.actor, at=self.at, ids=self.ids)
        return Taken(name, address, "updated", row.uuid, differences, notes)

    def _row(self, tx: Tx, address: str) -> Any:
        joined = sa.and_(addresses.c.pid == checks.c.pid, addresses.c.check_id == checks.c.id)
        query = sa.select(checks).join(addresses, joined)
        return tx.conn.execute(query.where(checks.c.pid == self.pid, addresses.c.key == address)).first()

    def _first_ping_by(self, form: Mapping[str, Any]) -> datetime | None:
        """Of a check that runs there: when it would go down there. A job that dies on the move is told of."""
        status, next_ping = (str(form.get(name) or "") for name in ("status", "next_ping"))
        if status not in _RUNS or not _INSTANT.fullmatch(next_ping):
            return None
        try:
            by = datetime.fromisoformat(next_ping).astimezone(UTC) + timedelta(seconds=int(form["grace"]))
        except (ValueError, OverflowError):  # a 31st of February: nothing is known of when it would go down
            return None
        return by if self.at < by <= self.at + timedelta(days=366) else None

    def _channels(self, tx: Tx, theirs: str) -> tuple[list[str], list[str]]:
        """By public id, those of ours that bear the names of theirs; and what is to be told of the rest."""
        rows = tx.conn.execute(sa.select(channels.c.uuid, channels.c.name).where(channels.c.pid == self.pid))
        ours = {row.name: row.uuid for row in rows}
        wanted = dict.fromkeys(self.theirs.get(one, one) for one in theirs.split(",") if one)
        missing = [name for name in wanted if name not in ours]
        notes = [f"there is no channel here as there: {name[:_LONGEST_TOLD]}" for name in missing[:_MOST_TOLD]]
        if len(missing) > _MOST_TOLD:
            notes.append(f"nor are {len(missing) - _MOST_TOLD} others")
        heard = [ours[name] for name in wanted if name in ours]
        if wanted and not heard:
            notes.append("nobody hears of it here")
        return sorted(heard), notes

    def _differences(self, tx: Tx, row: Any, form: Mapping[str, Any], heard: Sequence[str]) -> list[FieldDifference]:
        around = Around(base_url=self.base_url, version=_VERSION, now=self.at, with_secret=False)
        ours = check_form(row, around) | {"channels": ",".join(sorted(heard_by(tx, self.pid, row.id)))}
        theirs = {name: form[name] for name in _FIELDS if form.get(name) is not None}
        theirs["name"] = str(theirs.get("name", "")).strip() or UNNAMED
        theirs["tags"] = " ".join(dict.fromkeys(str(theirs.get("tags", "")).split()))
        theirs["channels"] = ",".join(heard)
        names = [name for name in (*_FIELDS, "channels") if name in theirs or name in {"timeout", "schedule", "tz"}]
        return [
            FieldDifference(name, theirs.get(name), ours.get(name))
            for name in names
            if theirs.get(name) != ours.get(name)
        ]

    def _badge_of(self, tx: Tx, form: Mapping[str, Any], check_id: int) -> None:
        address = address_in(str(form.get("badge_url") or ""))
        if address is not None:
            self._badge(tx, address, of=CHECK, check_id=check_id)

    def _badge(self, tx: Tx, address: str, *, of: str, tag: str = "", check_id: int | None = None) -> None:
        """An address that another badge has already stays that one's."""
        values = {"address": address, "pid": self.pid, "of": of, "tag": tag, "check_id": check_id}
        insert = tx.insert(badge_addresses).values(values).on_conflict_do_nothing(index_elements=["address"])
        self.n_new_badges += tx.conn.execute(insert.returning(badge_addresses.c.pid)).first() is not None


def _text(error: SaidNoError) -> str:
    told = msgspec.json.decode(error.answer.body) if error.answer.body else {}
    return str(told.get("error", error)).removeprefix("json validation error: ")
