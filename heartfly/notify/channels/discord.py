"""Discord, by a webhook of a channel: one embed within its limits, which calls nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from heartfly.net.http import Reply
from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import ToldBySettings, hook, said, seconds
from heartfly.notify.message import Delivery, Line, Message, word
from heartfly.notify.plain import n_unnamed
from heartfly.notify.sentences import Tone

# discord.com/developers, "Execute Webhook" and "Embed Limits": title 256, description 4,096, 25 fields of 256 and
# 1,024, footer 2,048, all of them together 6,000; content 2,000. Ours are below, so that the sum holds, too.
CONTENT_LIMIT = 300
TITLE_LIMIT = 250
TEXT_LIMIT = 1_200
LINES_LIMIT = 1_500
TAIL_LIMIT = 1_000
MAX_FIELDS = 10
LABEL_LIMIT, VALUE_LIMIT = 40, 120
FOOTER_LIMIT = 150
MAX_LINES = 20
LINE_LIMIT = 160

_COLOURS = {Tone.DOWN: 0xBE1E2D, Tone.UP: 0x13713F, Tone.DEGRADED: 0xB87400, Tone.NOTICE: 0x5F6673}
_ESCAPES = {char: f"\\{char}" for char in "\\*_~`|<>[]()#@:-"}


class DiscordChannel(ToldBySettings):
    kind: ClassVar[str] = "discord"
    title: ClassVar[str] = "Discord"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 2
    # A webhook takes 30 messages a minute.
    min_interval_s: ClassVar[float] = 2.0
    settings = (hook("Webhook address of the channel", "https://discord.com/api/webhooks/…"),)

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        body = msgspec.json.encode(payload(word(delivery)))
        headers = {"Content-Type": "application/json"}
        return await exchange(context, "POST", config["url"], headers=headers, body=body, busy=_busy)


def payload(message: Message) -> dict[str, object]:
    described = [_fitted("\n\n".join((message.sentence, *message.why, message.note)).strip(), TEXT_LIMIT)]
    if lines := _lines(message):
        described.append(lines)
    if message.tail:
        # Three backticks in the output would end the block; within it nothing is markup.
        told = message.tail.replace("```", "`\u200b`\u200b`")
        end = fit.fitted(told, TAIL_LIMIT, escapes={}, from_end=True)
        described.append(f"**{_fitted(message.tail_title, LABEL_LIMIT)}**\n```\n{end}\n```")
    return {
        "content": f"**{_fitted(message.title, CONTENT_LIMIT)}**",
        "embeds": [
            {
                "title": _fitted(message.link_text, TITLE_LIMIT),
                "url": message.link,
                "color": _COLOURS[message.tone],
                "description": "\n\n".join(described),
                "fields": [
                    {"name": _fitted(label, LABEL_LIMIT), "value": _fitted(value, VALUE_LIMIT) or "–", "inline": True}
                    for label, value in message.facts[:MAX_FIELDS]
                ],
                "footer": {"text": f"Heartfly, project {fit.fitted(message.project, FOOTER_LIMIT, escapes={})}"},
            }
        ],
        "allowed_mentions": {"parse": []},
    }


def _lines(message: Message) -> str:
    found: list[str] = []
    room = LINES_LIMIT
    for line in message.lines[:MAX_LINES]:
        told = _line(line)
        if fit.utf16(told) + 1 > room:
            break
        room -= fit.utf16(told) + 1
        found.append(told)
    if n_more := n_unnamed(message, len(found)):
        found.append(f"+{n_more} more")
    return "\n".join(found)


def _line(line: Line) -> str:
    return f"**{line.label}** {_fitted(line.name, 60)} {_fitted(line.text, LINE_LIMIT)}"


_ADDRESS = re.compile(r"://")


def _fitted(text: str, limit: int) -> str:
    # Nor becomes an address in a text a link of its own, or a picture below it.
    return fit.fitted(_ADDRESS.sub(":\u200b//", text), limit, escapes=_ESCAPES)


def _busy(reply: Reply) -> float | None:
    return seconds(said(reply).get("retry_after")) if reply.status == 429 else None
