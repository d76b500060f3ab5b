"""A channel that knows where to send by a few short settings, such as a token and a room.

How they are checked, masked, and asked for in forms and commands follows from their list; what is sent is the
channel's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from heartfly.errors import InvalidValueError
from heartfly.net.http import Reply
from heartfly.net.urls import parse_target
from heartfly.notify.channels.base import (
    MASK,
    Channel,
    digest_in,
    masked_url,
    refuse_unknown,
    text_of,
    url_secrets,
)

_VISIBLE = re.compile(r"[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`label`, `example`, `hint`: for people. `usual`: what holds where it is not given; None: it must be given.

    `like`: what it must look like whole, in words `must`; a secret is visible ASCII, if nothing else is said.
    """

    name: str
    label: str
    example: str = ""
    hint: str = ""
    limit: int = 200
    usual: str | None = None
    is_url: bool = False
    is_secret: bool = False
    like: re.Pattern[str] | None = None
    must: str = ""

    def parsed(self, raw: Mapping[str, Any]) -> str | None:
        """None: it is not there. InvalidValueError."""
        value = raw.get(self.name)
        if self.usual is not None and (value is None or value == ""):
            return None
        text = text_of({self.name: value}, self.name, limit=self.limit).strip()
        field = f"config.{self.name}"
        if self.is_url:
            parse_target(text, field=field)
        elif self.like is not None and not self.like.fullmatch(text):
            raise InvalidValueError(field, self.must)
        elif self.is_secret and not _VISIBLE.fullmatch(text):
            raise InvalidValueError(field, "must be letters, digits and signs of ASCII, without spaces")
        return text

    def shown(self, value: str) -> str:
        if not self.is_secret:
            return value
        return masked_url(value) if self.is_url else MASK


def server(usual: str, *, hint: str = "") -> Setting:
    """Where the vendor's API is; another one for a region, or for one's own."""
    return Setting(name="server", label="Server", example=usual, usual=usual, is_url=True, limit=500, hint=hint)


def hook(label: str, example: str) -> Setting:
    """An address that is itself the permission to write."""
    return Setting(name="url", label=label, example=example, is_url=True, is_secret=True, limit=1_000)


class ToldBySettings(Channel):
    """`title`: the vendor's name. `settings`: in the order in which a form asks for them."""

    title: ClassVar[str]
    settings: ClassVar[tuple[Setting, ...]]
    has_digest: ClassVar[bool] = True

    @override
    def parse_config(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(raw, {one.name for one in self.settings} | ({"digest"} if self.has_digest else set()))
        found = {one.name: one.parsed(raw) for one in self.settings}
        return {name: text for name, text in found.items() if text is not None} | digest_in(raw)

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        found: set[str] = set()
        for one in self.settings:
            if one.is_secret and (value := config.get(one.name)):
                found |= url_secrets(value) if one.is_url else {value}
        return found

    @override
    def public_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        known = {one.name: one for one in self.settings}
        return {name: known[name].shown(value) if name in known else value for name, value in config.items()}

    @override
    def receiver(self, public: Mapping[str, Any]) -> str:
        plain = [one for one in self.settings if not one.is_secret and one.name != "server"]
        named = [str(public[one.name]) for one in plain if public.get(one.name)]
        return ", ".join(named) or str(public.get("url") or self.value(public, "server"))

    @override
    def addresses(self, config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        return [(f"config.{one.name}", self.value(config, one.name)) for one in self.settings if one.is_url]

    def is_one_server(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        """Whether two configurations, apart from their secrets, send to the same."""
        places = [setting.name for setting in self.settings if setting.is_url and not setting.is_secret]
        return all(self.value(one, name) == self.value(other, name) for name in places)

    def value(self, config: Mapping[str, Any], name: str) -> str:
        """What is given, or what is usual; empty where there is neither."""
        usual = next((one.usual for one in self.settings if one.name == name), None)
        return str(config.get(name) or usual or "")

    def base(self, config: Mapping[str, Any]) -> str:
        """The server, without a slash at its end."""
        return self.value(config, "server").rstrip("/")


def said(reply: Reply) -> Mapping[str, Any]:
    """What a vendor's JSON says; nothing, if it is none."""
    try:
        found = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def seconds(value: object) -> float | None:
    """Of a number in a vendor's JSON."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return max(0.0, float(value)) if is_number else None  # type: ignore[arg-type] # is a number
