"""Matrix: a message to a room. Its id is the delivery's, so that a homeserver takes a repeat for the same one."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from typing_extensions import override

from heartfly.net.http import Reply
from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, said, seconds
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.plain import n_unnamed, plain

# spec.matrix.org, "Size limits": an event is 65,536 bytes at most. Ours holds the text twice.
TITLE_LIMIT = 250
TEXT_LIMIT = 2_000
PLAIN_LIMIT = 12_000
TAIL_LIMIT = 3_000
MAX_FACTS = 20
MAX_LINES = 30
LINE_LIMIT = 200
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


class MatrixChannel(ToldBySettings):
    kind: ClassVar[str] = "matrix"
    title: ClassVar[str] = "Matrix"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 2
    min_interval_s: ClassVar[float] = 1.0
    settings = (
        Setting(name="server", label="Homeserver", example="https://matrix.example.com", is_url=True, limit=500),
        Setting(
            name="room",
            label="Room",
            example="!abcdefg:example.com",
            hint="Its internal id, from the room's advanced settings.",
            limit=255,
            like=re.compile(r"![^\s:]+(?::\S+)?"),
            must="must be a room's internal id, such as !abcdefg:example.com",
        ),
        Setting(name="token", label="Access token", hint="Of the user who writes, and is in the room.", is_secret=True,
                limit=1_000),
    )  # fmt: skip

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        path = f"{quote(config['room'], safe='')}/send/m.room.message/{quote(delivery.id, safe='')}"
        url = f"{self.base(config)}/_matrix/client/v3/rooms/{path}"
        headers = {"Authorization": f"Bearer {config['token']}", "Content-Type": "application/json"}
        body = msgspec.json.encode(payload(word(delivery)))
        return await exchange(context, "PUT", url, headers=headers, body=body, busy=_busy)


def payload(message: Message) -> dict[str, object]:
    text = f"{message.title}\n\n{plain(message, most_lines=MAX_LINES, tail_limit=TAIL_LIMIT)}"
    return {
        "msgtype": "m.text",
        "body": fit.fitted(text, PLAIN_LIMIT, escapes={}, size=fit.utf8),
        "format": "org.matrix.custom.html",
        "formatted_body": _formatted(message),
        # Of those who have a name in the text nobody is called.
        "m.mentions": {},
    }


def _formatted(message: Message) -> str:
    parts = [f"<strong>{_fitted(message.title, TITLE_LIMIT)}</strong>"]
    parts += [f"<p>{_fitted(part, TEXT_LIMIT)}</p>" for part in (message.sentence, *message.why, message.note) if part]
    lines = [
        f"<li><strong>{line.label}</strong> {_fitted(line.name, 100)} {_fitted(line.text, LINE_LIMIT)}</li>"
        for line in message.lines[:MAX_LINES]
    ]
    if n_more := n_unnamed(message, MAX_LINES):
        lines.append(f"<li>+{n_more} more</li>")
    lines += [f"<li>{_fitted(label, 60)}: {_fitted(value, 200)}</li>" for label, value in message.facts[:MAX_FACTS]]
    parts += [f"<ul>{''.join(lines)}</ul>"] if lines else []
    if message.tail:
        end = fit.fitted(message.tail, TAIL_LIMIT, escapes=_ESCAPES, from_end=True, size=fit.utf8)
        parts.append(f"<p>{_fitted(message.tail_title, 60)}</p><pre><code>{end}</code></pre>")
    parts.append(f'<p><a href="{html.escape(message.link)}">{_fitted(message.link_text, 60)}</a></p>')
    return "".join(parts)


def _fitted(text: str, limit: int) -> str:
    return fit.fitted(text, limit, escapes=_ESCAPES, size=fit.utf8)


def _busy(reply: Reply) -> float | None:
    told = seconds(said(reply).get("retry_after_ms")) if reply.status == 429 else None
    return None if told is None else told / 1_000
