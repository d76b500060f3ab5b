"""Slack's incoming webhooks, and those who imitate them (Mattermost, Rocket.Chat, Discord's `/slack`).

The payload is Block Kit within Slack's limits, whatever the alert holds. Imitators ignore blocks and
show `text`, so that says all that matters, too. User text is never markup and never calls anyone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from heartfly.net.urls import parse_target
from heartfly.notify import fit
from heartfly.notify.channels.base import (
    Channel,
    ChannelContext,
    Receipt,
    digest_in,
    exchange,
    masked_url,
    refuse_unknown,
    text_of,
    url_secrets,
)
from heartfly.notify.message import Delivery, Line, Message, word
from heartfly.notify.sentences import Tone

# docs.slack.dev, "Blocks" and "Composition objects". Slack counts what we send, so after escaping.
HEADER_LIMIT = 150
SECTION_LIMIT = 3_000
FIELDS_LIMIT = 10
# Own limits: a field is for a glance, and all text together stays far under the undocumented sum
# (about 13,000) from which Slack answers msg_blocks_too_long.
TEXT_LIMIT = 3_500
PARAGRAPHS_LIMIT = 1_500
FIELD_LIMIT = 200
MAX_FIELDS = 20
TAIL_LIMIT = 2_900
MAX_LINES = 30
LINE_LIMIT = 360

_COLOURS = {Tone.DOWN: "#be1e2d", Tone.UP: "#13713f", Tone.DEGRADED: "#b87400", Tone.NOTICE: "#5f6673"}
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# `@channel` as plain text calls everyone in Mattermost and Discord; behind a zero-width space it does not.
_MENTION = re.compile(r"(?<!\w)@(?=\w)")


class SlackChannel(Channel):
    kind: ClassVar[str] = "slack"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 4
    min_interval_s: ClassVar[float] = 1.0

    @override
    def parse_config(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(raw, {"url", "digest"})
        url = text_of(raw, "url", limit=1_000).strip()
        # Plain http is for a chat server inside one's own network, which outgoing.allow_private must open first.
        parse_target(url, field="config.url")
        return {"url": url, **digest_in(raw)}

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        return url_secrets(config["url"])

    @override
    def public_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        shown = {"digest": config["digest"]} if "digest" in config else {}
        return {"url": masked_url(config["url"]), **shown}

    @override
    def addresses(self, config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        return [("config.url", config["url"])]

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        body = msgspec.json.encode(payload(word(delivery)))
        headers = {"Content-Type": "application/json"}
        return await exchange(context, "POST", config["url"], headers=headers, body=body)


def payload(message: Message) -> dict[str, object]:
    """Return Slack's JSON body."""
    title = _plain(message.title, HEADER_LIMIT)
    blocks = [
        *_paragraphs(message),
        *_lines(message),
        *_fields(message),
        *_tail(message),
        _context(message),
    ]
    return {
        "text": _text(message),
        "blocks": [{"type": "header", "text": title}],
        "attachments": [
            {
                "color": _COLOURS[message.tone],
                "fallback": fitted(message.title, HEADER_LIMIT),
                "blocks": blocks,
            }
        ],
    }


def fitted(text: str, limit: int, *, from_end: bool = False) -> str:
    """Escape as much of the text as fits: its beginning, or its end."""
    return fit.fitted(text, limit, escapes=_ESCAPES, from_end=from_end)


def _text(message: Message) -> str:
    """What notifications show, and all that receivers without Block Kit do."""
    parts = [message.sentence, *(f"{line.label}: {line.name} {line.text}" for line in message.lines[:MAX_LINES])]
    if n_more := _n_more(message):
        parts.append(f"+{n_more} more")
    head = fitted(_calling_nobody(message.title), HEADER_LIMIT)
    body = fitted(_calling_nobody("\n".join(parts)), TEXT_LIMIT)
    return f"*{head}*\n{body}\n<{message.link}|{message.link_text}>"


def _paragraphs(message: Message) -> Iterable[dict[str, object]]:
    text = "\n\n".join((message.sentence, *message.why, *((message.note,) if message.note else ())))
    yield {"type": "section", "text": _plain(text, PARAGRAPHS_LIMIT)}


def _lines(message: Message) -> Iterable[dict[str, object]]:
    shown = [_line(line) for line in message.lines[:MAX_LINES]]
    if n_more := _n_more(message):
        shown.append(f"<{message.link}|+{n_more} more>")
    per_section = SECTION_LIMIT // (LINE_LIMIT + 1)
    for start in range(0, len(shown), per_section):
        yield {"type": "section", "text": _markup("\n".join(shown[start : start + per_section]))}


def _n_more(message: Message) -> int:
    return message.n_more + max(0, len(message.lines) - MAX_LINES)


def _line(line: Line) -> str:
    name = fitted(line.name, 100)
    linked = f"<{line.link}|{name}>" if len(line.link) <= 150 else name
    rest = f"{line.label}: {linked} "
    return rest + fitted(line.text, LINE_LIMIT - len(rest))


def _fields(message: Message) -> Iterable[dict[str, object]]:
    fields = [
        _markup(f"*{fitted(label, 60)}*\n{fitted(value, FIELD_LIMIT)}") for label, value in message.facts[:MAX_FIELDS]
    ]
    for start in range(0, len(fields), FIELDS_LIMIT):
        yield {"type": "section", "fields": fields[start : start + FIELDS_LIMIT]}


def _tail(message: Message) -> Iterable[dict[str, object]]:
    if message.tail:
        # Three backticks in the output would end the block.
        text = fitted(message.tail.replace("```", "`\u200b`\u200b`"), TAIL_LIMIT, from_end=True)
        yield {"type": "section", "text": _markup(f"*{fitted(message.tail_title, 60)}*\n```{text}```")}


def _context(message: Message) -> dict[str, object]:
    project = fitted(message.project, 100)
    return {
        "type": "context",
        "elements": [_markup(f"<{message.link}|{message.link_text}> · Heartfly, project {project}")],
    }


def _plain(text: str, limit: int) -> dict[str, object]:
    """A text object in which nothing is markup. Slack unescapes it all the same."""
    return {"type": "plain_text", "text": fitted(text, limit), "emoji": False}


def _markup(text: str) -> dict[str, object]:
    """A text object in which links work; `verbatim`: but no address and no @name becomes one by itself."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _calling_nobody(text: str) -> str:
    return _MENTION.sub("@\u200b", text)
