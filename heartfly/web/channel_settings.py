"""Forms of channels that are told by settings (notify/channels/told_by_settings.py): a field for each of them.

A secret is never shown again; left empty it stays, unless what it is for would go to another server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heartfly.notify.channels import CHANNELS
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings
from heartfly.notify.queries import ChannelView
from heartfly.web.request import Form

TITLES: Mapping[str, str] = {"email": "Email", "slack": "Slack", "webhook": "Webhook", "apprise": "Apprise"} | {
    kind: channel.title for kind, channel in CHANNELS.items() if isinstance(channel, ToldBySettings)
}
"""What each kind is called."""


def settings_of(kind: str) -> tuple[Setting, ...]:
    """In the order in which they are asked for; none: it is not told by settings."""
    channel = CHANNELS[kind]
    return channel.settings if isinstance(channel, ToldBySettings) else ()


def labels_of(kind: str) -> dict[str, str]:
    """What the fields of its form are called."""
    return {"value": _LABELS.get(kind, "")} | {one.name: one.label for one in settings_of(kind)}


_LABELS = {
    "email": "Email address", "slack": "Webhook address of the Slack channel", "webhook": "Address",
    "apprise": "Name of the address in apprise.addresses",
}  # fmt: skip


def has_digest(kind: str) -> bool:
    channel = CHANNELS[kind]
    return channel.has_digest if isinstance(channel, ToldBySettings) else kind != "webhook"


def given(kind: str, form: Form) -> dict[str, str]:
    """What was typed, without what is empty."""
    typed = {one.name: form[one.name].strip() for one in settings_of(kind)}
    return {name: text for name, text in typed.items() if text}


def typed(kind: str, values: Mapping[str, str] | Form) -> dict[str, str]:
    return {one.name: values.get(one.name, "") for one in settings_of(kind)}


def stored(view: ChannelView) -> dict[str, str]:
    """What its form shows of it: no secret."""
    config = view.config or {}
    return {one.name: "" if one.is_secret else str(config.get(one.name, "")) for one in settings_of(view.kind)}


def edited(view: ChannelView, form: Form) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The configuration as it is asked for, None if it stays, and which secrets are kept beside."""
    asked, was = given(view.kind, form), {name: text for name, text in stored(view).items() if text}
    digest = form["digest"] if "digest" in form else str((view.config or {}).get("digest", ""))
    if asked == was and digest == (view.config or {}).get("digest", ""):
        return None, ()
    secrets = [one for one in settings_of(view.kind) if one.is_secret]
    kept = tuple(one.name for one in secrets if one.name not in asked and one.name in (view.config or {}))
    return asked | ({"digest": digest} if digest else {}), kept
