"""Telegram, by a bot: one message of HTML to a chat, or to a topic of it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from heartfly.net.http import Reply
from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, said, seconds, server
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.plain import n_unnamed
from heartfly.notify.sentences import Tone

# core.telegram.org/bots/api, "sendMessage": 4,096 characters. Ours are below with all markup counted.
TITLE_LIMIT = 250
TEXT_LIMIT = 900
FACTS_LIMIT = 700
TAIL_LIMIT = 1_000
MAX_LINES = 12
LINE_LIMIT = 80

_MARKS = {Tone.DOWN: "🔴", Tone.UP: "🟢", Tone.DEGRADED: "🟠", Tone.NOTICE: "⚪"}
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


class TelegramChannel(ToldBySettings):
    kind: ClassVar[str] = "telegram"
    title: ClassVar[str] = "Telegram"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 1
    # A group takes 20 messages a minute.
    min_interval_s: ClassVar[float] = 3.0
    settings = (
        Setting(
            name="token",
            label="Token of the bot",
            example="123456789:AAHx",
            hint="BotFather gives it.",
            is_secret=True,
            like=re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,100}", re.ASCII),
            must="must be a bot's token, such as 123456789:AAHx and more",
        ),
        Setting(
            name="chat",
            label="Chat",
            example="-1001234567890",
            hint="Its number, or @name of a public channel; the bot must be in it.",
            like=re.compile(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{4,40}", re.ASCII),
            must="must be a number such as -1001234567890, or @name",
        ),
        Setting(
            name="topic",
            label="Topic",
            usual="",
            hint="The number of a group's topic; empty: its general one.",
            like=re.compile(r"[0-9]{1,18}", re.ASCII),
            must="must be a number",
        ),
        server("https://api.telegram.org"),
    )

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        message = word(delivery)
        told: dict[str, object] = {
            "chat_id": config["chat"],
            "text": text(message),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
            "disable_notification": message.tone in {Tone.UP, Tone.NOTICE},
        }
        if topic := config.get("topic"):
            told["message_thread_id"] = int(topic)
        url = f"{self.base(config)}/bot{config['token']}/sendMessage"
        headers = {"Content-Type": "application/json"}
        return await exchange(context, "POST", url, headers=headers, body=msgspec.json.encode(told), busy=_busy)


def text(message: Message) -> str:
    parts = [f"{_MARKS[message.tone]} <b>{_fitted(message.title, TITLE_LIMIT)}</b>"]
    parts.append(
        _fitted("\n\n".join(part for part in (message.sentence, *message.why, message.note) if part), TEXT_LIMIT)
    )
    lines = [
        f"<b>{line.label}</b> {_fitted(line.name, 50)} {_fitted(line.text, LINE_LIMIT)}"
        for line in message.lines[:MAX_LINES]
    ]
    if n_more := n_unnamed(message, MAX_LINES):
        lines.append(f"+{n_more} more")
    parts.append("\n".join(lines))
    if not lines:
        parts.append(_fitted("\n".join(f"{label}: {value}" for label, value in message.facts), FACTS_LIMIT))
        if message.tail:
            end = fit.fitted(message.tail, TAIL_LIMIT, escapes=_ESCAPES, from_end=True)
            parts.append(f"<b>{_fitted(message.tail_title, 60)}</b>\n<pre>{end}</pre>")
    parts.append(f'<a href="{html.escape(message.link)}">{_fitted(message.link_text, 60)}</a>')
    return "\n\n".join(part for part in parts if part)


def _fitted(told: str, limit: int) -> str:
    return fit.fitted(told, limit, escapes=_ESCAPES)


def _busy(reply: Reply) -> float | None:
    parameters = said(reply).get("parameters")
    return seconds(parameters.get("retry_after")) if isinstance(parameters, dict) else None
