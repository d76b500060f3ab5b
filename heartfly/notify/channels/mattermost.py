"""Mattermost, by an incoming webhook: its own markdown, in which nothing is markup that people wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, hook
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.plain import n_unnamed
from heartfly.notify.sentences import Tone

# docs.mattermost.com, "Incoming webhooks": 16,383 characters a post, cut beyond.
TITLE_LIMIT = 250
TEXT_LIMIT = 1_500
TAIL_LIMIT = 2_500
MAX_FACTS = 15
LABEL_LIMIT, VALUE_LIMIT = 60, 200
MAX_LINES = 30
LINE_LIMIT = 200

_COLOURS = {Tone.DOWN: "#be1e2d", Tone.UP: "#13713f", Tone.DEGRADED: "#b87400", Tone.NOTICE: "#5f6673"}
_ESCAPES = {char: f"\\{char}" for char in "\\*_~`|[]()#>!:-<"}
_MENTION = re.compile(r"@(?=\w)")


class MattermostChannel(ToldBySettings):
    kind: ClassVar[str] = "mattermost"
    title: ClassVar[str] = "Mattermost"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 2
    min_interval_s: ClassVar[float] = 1.0
    settings = (
        hook("Address of the incoming webhook", "https://chat.example.com/hooks/…"),
        Setting(
            name="channel",
            label="Channel",
            usual="",
            example="town-square",
            hint="Another one than the webhook's own, by its handle.",
            limit=64,
            like=re.compile(r"@?[a-z0-9._-]{1,63}", re.ASCII),
            must="must be the handle of a channel, or @name of a person",
        ),
    )

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        told = payload(word(delivery))
        if channel := config.get("channel"):
            told["channel"] = channel
        headers = {"Content-Type": "application/json"}
        return await exchange(context, "POST", config["url"], headers=headers, body=msgspec.json.encode(told))


def payload(message: Message) -> dict[str, object]:
    parts = [_fitted(part, TEXT_LIMIT) for part in (message.sentence, *message.why, message.note) if part]
    lines = [
        f"**{line.label}** {_fitted(line.name, 80)} {_fitted(line.text, LINE_LIMIT)}"
        for line in message.lines[:MAX_LINES]
    ]
    if n_more := n_unnamed(message, MAX_LINES):
        lines.append(f"+{n_more} more")
    parts += ["\n".join(lines)] if lines else []
    if message.tail:
        told = message.tail.replace("```", "`\u200b`\u200b`")
        end = fit.fitted(told, TAIL_LIMIT, escapes={}, from_end=True)
        parts.append(f"**{_fitted(message.tail_title, LABEL_LIMIT)}**\n```\n{end}\n```")
    title = _fitted(message.title, TITLE_LIMIT)
    attachment = {
        "fallback": fit.fitted(_calling_nobody(message.title), TITLE_LIMIT, escapes={}),
        "color": _COLOURS[message.tone],
        "title": message.link_text,
        "title_link": message.link,
        "text": "\n\n".join(parts),
        "fields": [
            {"short": True, "title": _fitted(label, LABEL_LIMIT), "value": _fitted(value, VALUE_LIMIT)}
            for label, value in message.facts[:MAX_FACTS]
        ],
        "footer": f"Heartfly, project {fit.fitted(_calling_nobody(message.project), 100, escapes={})}",
    }
    return {"text": f"**{title}**", "attachments": [attachment]}


def _fitted(text: str, limit: int) -> str:
    return fit.fitted(_calling_nobody(text), limit, escapes=_ESCAPES)


def _calling_nobody(text: str) -> str:
    """Behind a zero-width space a name is only text."""
    return _MENTION.sub("@\u200b", text)
