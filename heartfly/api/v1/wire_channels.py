"""The shapes of channels and notifications. What of a configuration may be seen is decided by its channel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.core.words import AlertKind, Reason
from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.base import Reach
from heartfly.notify.policies import AskedPolicy, OwnWords
from heartfly.notify.queries import AttemptView, ChannelView, DeliveryView, NotificationView
from heartfly.notify.resend import MOST_AT_ONCE


class WordsIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Templates of a message; either may be empty."""

    title: str = ""
    text: str = ""


class PolicyIn(msgspec.Struct, forbid_unknown_fields=True):
    """What a channel is there for. Left out, a field says nothing: it hears all, at once, once, in our words."""

    tags: list[str] = []
    """Only checks that have one of these."""
    least: Literal["low", "medium", "high", "critical"] | None = None
    """Nothing less severe."""
    after: int | None = None
    """Seconds: it hears that something is wrong if nobody has acknowledged it by then; 60 to 604800."""
    every: int | None = None
    """Seconds: so often it reminds while that lasts and nobody has acknowledged it; 300 to 604800."""
    title: str = ""
    """In the place of our title: a template with `$NAME`, `$STATUS` and the like."""
    text: str = ""
    """In the place of our first sentence."""
    words: dict[str, WordsIn] = {}
    """By event, such as `check.up`: in the place of `title` and `text`, where they are said."""


class PolicyOut(msgspec.Struct, kw_only=True):
    tags: list[str]
    least: str | None
    after: int | None
    every: int | None
    title: str
    text: str
    words: dict[str, WordsIn]


class WordsPreviewIn(msgspec.Struct, forbid_unknown_fields=True):
    """Templates to be tried: `title`, `text`, or both. `event`: about which."""

    title: str = ""
    text: str = ""
    event: AlertKind = AlertKind.DOWN


class WordsPreviewOut(msgspec.Struct, kw_only=True):
    """What the newest alert of the channel would read like, or an example if it has carried none."""

    title: str
    text: str


class ChannelIn(msgspec.Struct, forbid_unknown_fields=True):
    """`config`: `to` for email; `url` for slack; `url`, `method`, `headers`, `body`, `secrets`, … for webhook;
    `address` for apprise, a name from the operator's settings; of every other kind what `/docs/channels` says.
    """

    kind: str
    name: str
    config: dict[str, Any]
    events: list[str] | msgspec.UnsetType = msgspec.UNSET
    """What it hears; everything but lateness when left out."""
    checks: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Ids of checks, or `["*"]` for all that there are now, as when left out."""
    policy: PolicyIn | msgspec.UnsetType = msgspec.UNSET


class ChannelEdit(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays. A `config` replaces the old one whole, but for a webhook's `secrets`."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    config: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    events: list[str] | msgspec.UnsetType = msgspec.UNSET
    checks: list[str] | msgspec.UnsetType = msgspec.UNSET
    policy: PolicyIn | msgspec.UnsetType = msgspec.UNSET
    """Replaces the old one whole."""


class ChannelOut(msgspec.Struct, kw_only=True):
    """A channel. Whatever in its configuration is a secret is masked, for keys that only read a webhook's bodies, too.

    Null: it cannot be opened any more.
    """

    id: str
    kind: str
    name: str
    config: dict[str, Any] | None
    receiver: str
    """Where it sends to, in a few words, without secrets; empty if it cannot be opened any more."""
    events: list[str]
    policy: PolicyOut
    n_checks: int
    created_at: Instant
    state: Literal["ok", "retrying", "failing"]
    retrying_since: Instant | None
    failing_since: Instant | None
    last_error: str | None
    """All three null while it is ok."""
    old_secret_until: Instant | None
    """Until when a webhook is also signed with the secrets before the last rotation; null: it is not."""
    warning: str | None = None
    """Why nothing can be delivered as the server is set up; null when nothing is known that speaks against it."""
    secret: str | None = None
    """Of a webhook, in the answers to its creation and to a rotation only: what its signatures are made with."""


class ChannelPage(msgspec.Struct):
    items: list[ChannelOut]
    next: str | None


def channel_out(
    view: ChannelView, *, reach: Reach, now: datetime, may_write: bool, secret: str | None = None
) -> ChannelOut:
    until, config = view.old_secret_until, view.config
    if config is not None and not may_write:
        config = CHANNELS[view.kind].for_readers(config)
    return ChannelOut(
        id=view.uuid,
        kind=view.kind,
        name=view.name,
        config=config,
        receiver=CHANNELS[view.kind].receiver(view.config or {}),
        events=list(view.events),
        policy=policy_out(view.policy),
        n_checks=view.n_checks,
        created_at=view.created_at,
        state=view.state,
        retrying_since=view.retrying_since,
        failing_since=view.failing_since,
        last_error=view.last_error,
        old_secret_until=until if until is not None and until > now else None,
        warning=None if view.config is None else CHANNELS[view.kind].hindrance(view.config, reach),
        secret=secret,
    )


def policy_out(stored: Mapping[str, Any]) -> PolicyOut:
    return PolicyOut(
        tags=list(stored.get("tags", ())),
        least=stored.get("least"),
        after=stored.get("after_s"),
        every=stored.get("every_s"),
        title=stored.get("title", ""),
        text=stored.get("text", ""),
        words={event: WordsIn(**said) for event, said in stored.get("words", {}).items()},
    )


def asked_policy(data: PolicyIn | msgspec.UnsetType) -> AskedPolicy | None:
    if isinstance(data, msgspec.UnsetType):
        return None
    return AskedPolicy(
        tags=data.tags,
        least=data.least,
        after_s=data.after,
        every_s=data.every,
        title=data.title,
        text=data.text,
        words={event: OwnWords(said.title, said.text) for event, said in data.words.items()},
    )


class AttemptOut(msgspec.Struct, kw_only=True):
    """One try. `ended_at` null: under way, or cut off."""

    n: int
    started_at: Instant
    ended_at: Instant | None
    code: int | None
    reply: str | None
    error: str | None
    retry_at: Instant | None


class DeliveryOut(msgspec.Struct, kw_only=True):
    """What carries the notification: `id` is a webhook's `webhook-id`. One mail may carry many notifications."""

    id: str
    channel: str | None
    """Null: it was deleted."""
    state: Literal["pending", "sent", "failed"]
    retry_at: Instant | None
    """When it is tried next; null also while a try is under way."""
    possible_duplicate: bool
    """Another try may have arrived, or somebody has had it sent again."""
    created_at: Instant
    done_at: Instant | None
    attempts: list[AttemptOut]


class NotificationOut(msgspec.Struct, kw_only=True):
    """One channel's copy of an alert. `channel` null: it was deleted."""

    id: str
    event: str
    state: str
    channel: str | None
    channel_name: str | None
    check: str | None
    check_name: str | None
    at: Instant
    decided_at: Instant
    reason: Reason | None
    explain: str
    incident: str | None
    created_at: Instant
    done_at: Instant | None
    delivery: DeliveryOut | None
    why: str | None
    """Why it did not go out at once (`held`, or told later), or not at all (`untold`); null: nothing was in its way."""
    held_until: Instant | None
    """While it is `held`: when it is looked at again."""


class NotificationPage(msgspec.Struct):
    items: list[NotificationOut]
    next: str | None


class AttemptPage(msgspec.Struct):
    items: list[AttemptOut]
    next: str | None


class RetryIn(msgspec.Struct, forbid_unknown_fields=True):
    """`since`: what was made then or later. `channel`: of this one, by id; of all if left out."""

    since: Instant
    channel: str | None = None
    limit: int = MOST_AT_ONCE
    """How many deliveries at most, 1 to 1000."""


class RetriedOut(msgspec.Struct):
    """`n`: how many deliveries are sent again. `more`: there are others; ask again.

    `n_overtaken`: how many stay failed, as their channel has heard later news of all that they tell.
    """

    n: int
    more: bool
    n_overtaken: int


def notification_out(view: NotificationView) -> NotificationOut:
    alert = view.alert
    return NotificationOut(
        id=f"{view.alert_id}-{view.channel_id}",
        event=alert.kind.value,
        state=view.state,
        channel=view.channel_uuid,
        channel_name=view.channel_name,
        check=alert.check.uuid if alert.check else None,
        check_name=alert.check.name if alert.check else None,
        at=alert.at,
        decided_at=alert.decided_at,
        reason=alert.reason,
        explain=alert.explain,
        incident=alert.incident,
        created_at=view.created_at,
        done_at=view.done_at,
        delivery=delivery_out(view.delivery) if view.delivery else None,
        why=view.why,
        held_until=view.held_until,
    )


def delivery_out(view: DeliveryView) -> DeliveryOut:
    return DeliveryOut(
        id=view.id,
        channel=view.channel_uuid,
        state=view.state,  # type: ignore[arg-type] # as the room writes it
        retry_at=view.retry_at,
        possible_duplicate=view.possible_duplicate,
        created_at=view.created_at,
        done_at=view.done_at,
        attempts=[attempt_out(one) for one in view.attempts],
    )


def attempt_out(one: AttemptView) -> AttemptOut:
    return AttemptOut(
        n=one.attempt,
        started_at=one.started_at,
        ended_at=one.ended_at,
        code=one.code,
        reply=one.reply,
        error=one.error,
        retry_at=one.retry_at,
    )


SHAPES = (
    ChannelIn,
    ChannelEdit,
    WordsPreviewIn,
    WordsPreviewOut,
    ChannelPage,
    NotificationPage,
    AttemptPage,
    RetryIn,
    RetriedOut,
)
