"""Zulip, by a bot: a message to a channel, each project under a topic."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from typing_extensions import override

from heartfly.net.http import Reply
from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, said, seconds
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.plain import n_unnamed

# zulip.com/api/send-message: 10,000 bytes of content, 60 characters of topic.
CONTENT_LIMIT = 9_500
TOPIC_LIMIT = 60
TITLE_LIMIT = 250
TEXT_LIMIT = 1_200
TAIL_LIMIT = 2_000
MAX_FACTS = 15
MAX_LINES = 30
LINE_LIMIT = 160

_ZERO = "\u200b"
# It knows no escapes: a sign that would be markup is followed, or a call preceded, by a space that has no width.
_ESCAPES = {char: f"{char}{_ZERO}" for char in "*_`~@#$|[]<>"}


class ZulipChannel(ToldBySettings):
    kind: ClassVar[str] = "zulip"
    title: ClassVar[str] = "Zulip"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 2
    min_interval_s: ClassVar[float] = 1.0
    settings = (
        Setting(name="server", label="Address of the organization", example="https://example.zulipchat.com",
                is_url=True, limit=500),
        Setting(
            name="bot", label="Email address of the bot", example="heartfly-bot@example.zulipchat.com",
            like=re.compile(r"[^\s:@]+@[^\s:@]+"), must="must be an email address",
        ),
        Setting(name="key", label="API key of the bot", is_secret=True),
        Setting(name="channel", label="Channel", example="ops", limit=60),
        Setting(name="topic", label="Topic", usual="", hint="Empty: the name of the project.", limit=TOPIC_LIMIT),
    )  # fmt: skip

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        return super().secrets(config) | {_credentials(config)}

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        message = word(delivery)
        told = {
            "type": "stream",
            "to": config["channel"],
            "topic": config.get("topic") or fit.fitted(message.project, TOPIC_LIMIT, escapes={}),
            "content": content(message),
        }
        headers = {
            "Authorization": f"Basic {_credentials(config)}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        url = f"{self.base(config)}/api/v1/messages"
        return await exchange(context, "POST", url, headers=headers, body=urlencode(told).encode(), busy=_busy)


def content(message: Message) -> str:
    parts = [f"**{_fitted(message.title, TITLE_LIMIT)}**"]
    parts += [_fitted(part, TEXT_LIMIT) for part in (message.sentence, *message.why, message.note) if part]
    lines = [
        f"- **{line.label}** {_fitted(line.name, 80)} {_fitted(line.text, LINE_LIMIT)}"
        for line in message.lines[:MAX_LINES]
    ]
    if n_more := n_unnamed(message, MAX_LINES):
        lines.append(f"- +{n_more} more")
    parts += ["\n".join(lines)] if lines else []
    facts = [f"- {_fitted(label, 60)}: {_fitted(value, 160)}" for label, value in message.facts[:MAX_FACTS]]
    parts += ["\n".join(facts)] if facts else []
    if message.tail:
        # A line of backticks or tildes would end the block.
        told = message.tail.replace("```", f"`{_ZERO}`{_ZERO}`").replace("~~~", f"~{_ZERO}~{_ZERO}~")
        end = fit.fitted(told, TAIL_LIMIT, escapes={}, from_end=True, size=fit.utf8)
        parts.append(f"**{_fitted(message.tail_title, 60)}**\n```text\n{end}\n```")
    link = f"[{message.link_text}]({message.link})"
    body = "\n\n".join(parts)
    if fit.utf8(body) + fit.utf8(link) + 2 > CONTENT_LIMIT:
        # What is cut anywhere ends no block: text alone, without markup.
        body = fit.fitted(
            "\n\n".join((message.title, message.sentence, *message.why)), CONTENT_LIMIT // 2, escapes=_ESCAPES,
            size=fit.utf8,
        )  # fmt: skip
    return f"{body}\n\n{link}"


def _fitted(text: str, limit: int) -> str:
    return fit.fitted(text, limit, escapes=_ESCAPES, size=fit.utf8)


def _credentials(config: Mapping[str, Any]) -> str:
    return base64.b64encode(f"{config['bot']}:{config['key']}".encode()).decode()


def _busy(reply: Reply) -> float | None:
    return seconds(said(reply).get("retry-after")) if reply.status == 429 else None
