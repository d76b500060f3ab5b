"""Templates of webhooks: `$NAME` and its like, replaced once and never looked at again.

Literal on purpose: no expressions, no format strings. A value lands so that it stays one value: inside
a JSON string it is escaped, in a form and an address it is percent-encoded, in a header it is one line.
There is no placeholder for the ping address of a check: it is a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC
from functools import cached_property
from urllib.parse import quote, quote_plus

from heartfly.core.alerts import cause_words
from heartfly.notify.event import EventOut, encoded, event
from heartfly.notify.message import Delivery
from heartfly.notify.policies import OwnWords
from heartfly.notify.text import one_line

NAMES = (
    "NAME",
    "STATUS",
    "KIND",
    "NOW",
    "SLUG",
    "TAGS",
    "EXITSTATUS",
    "REASON",
    "EXPLAIN",
    "INCIDENT",
    "TITLE",
    "SUMMARY",
    "PROJECT",
    "LINK",
    "ID",
    "MISSED",
    "BODY",
)
_ONLY_IN_BODIES = frozenset({"BODY", "JSON"})
_LONGEST_FIRST = "|".join(sorted(NAMES, key=len, reverse=True))
PLACEHOLDER = re.compile(rf"\$(?:(?P<name>{_LONGEST_FIRST}|TAG[1-9][0-9]?)(?P<json>_JSON)?|JSON)")
_IN_LINE_LIMIT = 500
_ADDRESS_LIMIT = 2_000


class Values:
    """What the placeholders stand for in one delivery. Made when asked for: most requests have none."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    @cached_property
    def event(self) -> EventOut:
        return event(self._delivery)

    @cached_property
    def event_json(self) -> bytes:
        return encoded(self.event)

    @cached_property
    def texts(self) -> Mapping[str, str]:
        event = self.event
        check, run = event.check, event.run
        tags = check.tags if check is not None else ()
        exit_status = run.exit_status if run is not None else None
        return {
            "NAME": _name(event),
            "STATUS": event.type.rpartition(".")[2],
            "KIND": event.type,
            "NOW": event.at.astimezone(UTC).isoformat(timespec="seconds"),
            "SLUG": check.slug if check is not None else "",
            "TAGS": " ".join(tags),
            "EXITSTATUS": "-1" if exit_status is None else str(exit_status),
            "REASON": event.reason or "",
            "EXPLAIN": event.explain,
            "INCIDENT": event.incident or "",
            "TITLE": event.title,
            "SUMMARY": event.summary,
            "PROJECT": event.project.slug,
            "LINK": event.links.get(_page(event), event.links["project"]),
            "ID": event.id,
            "MISSED": str(event.missed),
            "BODY": run.body_tail if run is not None else "",
            **{f"TAG{number}": tag for number, tag in enumerate(tags, start=1)},
        }


def _name(event: EventOut) -> str:
    """Of what it is about."""
    if event.check is not None:
        return event.check.name
    if event.concern is not None:
        return event.concern.name
    return event.project.name if event.cause is None else cause_words(event.cause.what, event.cause.name)


def _page(event: EventOut) -> str:
    """Which of its links leads there."""
    if event.concern is not None:
        return event.concern.source
    return "check" if event.check is not None or event.cause is None else "incident"


def in_own_words(delivery: Delivery, words: OwnWords | None) -> Delivery:
    """With what the channel says in the place of our title and sentence. What is unknown after a `$` stays as it is."""
    if words is None:
        return delivery
    values = Values(delivery)
    title = one_line(_plain(words.title, values), limit=_IN_LINE_LIMIT)
    return replace(delivery, own_title=title, own_text=_plain(words.text, values))


def _plain(template: str, values: Values) -> str:
    def filled(match: re.Match[str]) -> str:
        name = match["name"]
        return match[0] if name is None else values.texts.get(name, "")[:_IN_LINE_LIMIT]

    return PLACEHOLDER.sub(filled, template)


def in_address(template: str, values: Values) -> str:
    """Fill a URL. Long values are cut, all alike, so that the whole keeps within what can be sent."""
    n_placeholders = max(1, len(PLACEHOLDER.findall(template)))
    limit = (_ADDRESS_LIMIT - len(template)) // n_placeholders
    return _fill(template, values, lambda text: _percent_encoded(text, limit=limit))


def _percent_encoded(text: str, *, limit: int) -> str:
    encoded = ""
    for char in one_line(text, limit=_IN_LINE_LIMIT):
        if len(encoded) + len(step := quote(char, safe="")) > limit:
            break
        encoded += step
    return encoded


def in_header(template: str, values: Values) -> str:
    """Return one line of ASCII; other characters become `&#8230;`, as receivers of Healthchecks know it."""
    text = _fill(template, values, lambda text: one_line(text, limit=_IN_LINE_LIMIT))
    return text.encode("ascii", "xmlcharrefreplace").decode()


def in_body(template: str, values: Values, *, content_type: str) -> str:
    if "json" in content_type:
        return _fill_json(template, values)
    if "x-www-form-urlencoded" in content_type:
        return _fill_body(template, values, quote_plus)
    return _fill_body(template, values, str)


def _fill(template: str, values: Values, encode: Callable[[str], str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None or name in _ONLY_IN_BODIES or name not in values.texts:
            return match[0]
        return encode(json.dumps(values.texts[name]) if match["json"] else values.texts[name])

    return PLACEHOLDER.sub(value, template)


def _fill_body(template: str, values: Values, encode: Callable[[str], str]) -> str:
    def value(match: re.Match[str]) -> str:
        text = _text(match, values)
        if text is None:
            return match[0]
        return encode(_as_json(text) if match["json"] else text)

    return PLACEHOLDER.sub(value, template)


def _fill_json(template: str, values: Values) -> str:
    """Fill a JSON template so that it stays JSON, whatever the values hold."""
    parts: list[str] = []
    inside, end = False, 0
    for match in PLACEHOLDER.finditer(template):
        literal = template[end : match.start()]
        inside ^= _QUOTE.sub("", literal).count('"') % 2 == 1
        parts += (literal, _json_value(match, values, inside=inside))
        end = match.end()
    return "".join((*parts, template[end:]))


_QUOTE = re.compile(r"\\.", re.DOTALL)
"""An escaped character, which cannot end a string."""


def _json_value(match: re.Match[str], values: Values, *, inside: bool) -> str:
    text = _text(match, values)
    if text is None:
        return match[0]
    if inside:
        return _as_json(text)[1:-1]
    if match["name"] is None or (match["name"] == "EXITSTATUS" and not match["json"]):
        return text
    return _as_json(text)


def _text(match: re.Match[str], values: Values) -> str | None:
    return values.event_json.decode() if match["name"] is None else values.texts.get(match["name"])


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
