"""One entry for each change that somebody made, written in the transaction of the change.

An entry is never edited, but that names go from it (forget.py); that nobody else did, its chain shows (chain.py).
What was changed is told in the words of the API, before and after; secrets and their hashes are left out by the rooms
that know them. What the rules make of a check (its flips) is no entry: nobody did it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import audit

Facts = Mapping[str, Any]


class Action(StrEnum):
    CHECK_CREATE = "check.create"
    CHECK_EDIT = "check.edit"
    CHECK_PAUSE = "check.pause"
    CHECK_RESUME = "check.resume"
    CHECK_DELETE = "check.delete"
    CHECK_TRANSFER = "check.transfer"
    CHECK_ROTATE_PING_URL = "check.rotate_ping_url"
    CHANNEL_CREATE = "channel.create"
    CHANNEL_EDIT = "channel.edit"
    CHANNEL_DELETE = "channel.delete"
    CHANNEL_ROTATE_SECRET = "channel.rotate_secret"  # noqa: S105 - the name of what was done
    CHANNEL_TEST = "channel.test"
    DELIVERY_RESEND = "delivery.resend"
    DELIVERY_RETRY = "delivery.retry"
    KEY_CREATE = "key.create"
    KEY_EDIT = "key.edit"
    KEY_ROTATE = "key.rotate"
    KEY_REVOKE = "key.revoke"
    PROJECT_CREATE = "project.create"
    PROJECT_EDIT = "project.edit"
    PROJECT_DELETE = "project.delete"
    PROJECT_ROTATE_PING_KEY = "project.rotate_ping_key"
    PROJECT_MAKE_BADGE_KEY = "project.make_badge_key"
    PROJECT_REMOVE_BADGE_KEY = "project.remove_badge_key"
    STATUS_PAGE_CREATE = "status_page.create"
    STATUS_PAGE_EDIT = "status_page.edit"
    STATUS_PAGE_DELETE = "status_page.delete"
    VIEW_CREATE = "view.create"
    VIEW_DELETE = "view.delete"
    CUSTOMER_CREATE = "customer.create"
    CUSTOMER_EDIT = "customer.edit"
    CUSTOMER_ARCHIVE = "customer.archive"
    CUSTOMER_ERASE = "customer.erase"
    REPORT_SHARE = "report.share"
    REPORT_UNSHARE = "report.unshare"
    REPORT_MAIL = "report.mail"
    REPORT_MAIL_END = "report.mail_end"
    DEAD_LETTER_REPLAY = "dead_letter.replay"
    DEAD_LETTER_DROP = "dead_letter.drop"
    JOB_RUN = "job.run"
    INCIDENT_ACKNOWLEDGE = "incident.acknowledge"
    INCIDENT_COMMENT = "incident.comment"
    INCIDENT_SHARE = "incident.share"
    INCIDENT_UNSHARE = "incident.unshare"
    SILENCE_CREATE = "silence.create"
    SILENCE_EDIT = "silence.edit"
    SILENCE_END = "silence.end"
    MEMBER_ADD = "member.add"
    MEMBER_EDIT = "member.edit"
    MEMBER_REMOVE = "member.remove"
    INVITE_CREATE = "invite.create"
    INVITE_RESEND = "invite.resend"
    INVITE_REVOKE = "invite.revoke"
    MEMBER_SECOND_STEP_ON = "member.second_step_on"
    MEMBER_SECOND_STEP_OFF = "member.second_step_off"
    MEMBER_RENEW_BACKUP_CODES = "member.renew_backup_codes"
    MEMBER_ADD_PASSKEY = "member.add_passkey"
    MEMBER_RENAME_PASSKEY = "member.rename_passkey"
    MEMBER_REMOVE_PASSKEY = "member.remove_passkey"
    MEMBER_CHANGE_EMAIL = "member.change_email"
    MEMBER_CHANGE_PASSWORD = "member.change_password"  # noqa: S105 - the name of what was done
    MEMBER_RESET_PASSWORD = "member.reset_password"  # noqa: S105 - the name of what was done
    MEMBER_SHUT_PASSWORD = "member.shut_password"  # noqa: S105 - the name of what was done
    USAGE_RERUN = "usage.rerun"
    USAGE_RESTORE = "usage.restore"
    EVENT_VOID = "event.void"
    EVENT_AMEND = "event.amend"
    EVENT_UNDO = "event.undo"
    BACKFILL_OPEN = "backfill.open"
    BACKFILL_SEND = "backfill.send"
    BACKFILL_CLOSE = "backfill.close"
    BACKFILL_REVERT = "backfill.revert"
    SOURCE_RETIRE = "source.retire"
    LIMIT_CREATE = "limit.create"
    LIMIT_EDIT = "limit.edit"
    LIMIT_DELETE = "limit.delete"
    WATCH_CREATE = "watch.create"
    WATCH_EDIT = "watch.edit"
    WATCH_DELETE = "watch.delete"
    ALERT_RULE_CREATE = "alert_rule.create"
    ALERT_RULE_EDIT = "alert_rule.edit"
    ALERT_RULE_DELETE = "alert_rule.delete"
    ALERT_RESOLVE = "alert.resolve"
    BUDGET_CREATE = "budget.create"
    BUDGET_EDIT = "budget.edit"
    BUDGET_PAUSE = "budget.pause"
    BUDGET_RESUME = "budget.resume"
    BUDGET_CANCEL = "budget.cancel"
    BUDGET_DELETE = "budget.delete"
    METER_CREATE = "meter.create"
    METER_EDIT = "meter.edit"
    METER_CHANGE = "meter.change"  # a version was added
    METER_ARCHIVE = "meter.archive"
    METER_UNARCHIVE = "meter.unarchive"
    PATH_RULES_EDIT = "path_rules.edit"
    PRICE_CREATE = "price.create"
    PRICE_EDIT = "price.edit"  # another amount from an instant on
    PRICE_END = "price.end"
    PRICE_DELETE = "price.delete"
    PRICE_IMPORT = "price.import"
    METER_PRICE_CREATE = "meter_price.create"
    METER_PRICE_END = "meter_price.end"
    METER_PRICE_DELETE = "meter_price.delete"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: `user:` and an address, `key:` and the first letters of an API key, `cli`, `setup`,
    `ping`, or `heartfly` itself.

    `ip`: where the request came from; None when there was none.
    """

    name: str
    ip: str | None = None


CLI = Actor("cli")
HEARTFLY = Actor("heartfly")
"""For what Heartfly does to the checks of its own jobs, and to a password that was guessed at too often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One that was written elsewhere, with the change, and is brought here. `id`: its own, by which it comes once."""

    pid: int
    id: int
    at: datetime
    actor: str
    action: str
    object: str
    before: Facts | None
    after: Facts | None
    ip: str | None


def record(
    tx: Tx,
    pid: int,
    *,
    actor: Actor,
    action: Action,
    of: str,
    before: Facts | None,
    after: Facts | None,
    at: datetime,
    ids: IdSource,
    into: sa.Table = audit,
) -> None:
    """`of`: what was changed, such as `check:<its public id>`. `before` None: it was not there; `after`: it is gone.

    `into`: the other part's table, for a change there.
    """
    entry = values(pid, actor=actor, action=action, of=of, before=before, after=after, at=at, ids=ids)
    tx.conn.execute(sa.insert(into).values(entry))


def values(
    pid: int,
    *,
    actor: Actor,
    action: Action,
    of: str,
    before: Facts | None,
    after: Facts | None,
    at: datetime,
    ids: IdSource,
) -> dict[str, Any]:
    """The row of such an entry, of either part."""
    return {
        "pid": pid,
        "id": ids.next(at),
        "at": at,
        "actor": actor.name,
        "action": action.value,
        "object": of,
        "before": storable(before),
        "after": storable(after),
        "ip": actor.ip or None,
    }


def bring(tx: Tx, entries: Sequence[Entry]) -> None:
    """Those that are here already stay as they are."""
    for entry in entries:
        tx.conn.execute(tx.insert(audit).values(asdict(entry)).on_conflict_do_nothing(index_elements=["pid", "id"]))


def differing(before: Facts, after: Facts) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two states of a thing, the fields that differ. Both empty: nothing was changed."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}


def storable(value: Any) -> Any:
    """PostgreSQL's JSON cannot hold NUL, which some settings of a channel may."""
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, Mapping):
        return {storable(name): storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable(inner) for inner in value]
    return value
