"""Microsoft Teams, by a workflow that takes webhook requests: an Adaptive Card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import ToldBySettings, hook
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.plain import n_unnamed
from heartfly.notify.sentences import Tone

# learn.microsoft.com, "Webhooks and connectors": 28 KB a message, of which ours is far below in UTF-8.
TITLE_LIMIT = 200
TEXT_LIMIT = 1_500
MAX_FACTS = 15
LABEL_LIMIT, VALUE_LIMIT = 60, 200
TAIL_LIMIT = 2_500
MAX_LINES = 25
LINE_LIMIT = 200

_COLOURS = {Tone.DOWN: "attention", Tone.UP: "good", Tone.DEGRADED: "warning", Tone.NOTICE: "default"}
_ESCAPES = {char: f"\\{char}" for char in "\\*_[]()`#>-"}


class TeamsChannel(ToldBySettings):
    kind: ClassVar[str] = "teams"
    title: ClassVar[str] = "Microsoft Teams"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 2
    min_interval_s: ClassVar[float] = 1.0
    settings = (hook("Address of the workflow", "https://prod-00.westeurope.logic.azure.com/workflows/…"),)

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        body = msgspec.json.encode(payload(word(delivery)))
        return await exchange(context, "POST", config["url"], headers={"Content-Type": "application/json"}, body=body)


def payload(message: Message) -> dict[str, object]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "fallbackText": fit.fitted(message.title, TITLE_LIMIT, escapes={}),
        "body": list(_body(message)),
        "actions": [{"type": "Action.OpenUrl", "title": message.link_text, "url": message.link}],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _body(message: Message) -> Iterable[dict[str, object]]:
    title = _fitted(message.title, TITLE_LIMIT)
    yield _block(title, weight="Bolder", size="Medium", color=_COLOURS[message.tone])
    yield from (_block(_fitted(part, TEXT_LIMIT)) for part in (message.sentence, *message.why, message.note) if part)
    for line in message.lines[:MAX_LINES]:
        yield _block(f"**{line.label}** {_fitted(line.name, 80)} {_fitted(line.text, LINE_LIMIT)}", spacing="Small")
    if n_more := n_unnamed(message, MAX_LINES):
        yield _block(f"+{n_more} more", spacing="Small")
    if message.facts:
        facts = [
            {"title": _fitted(label, LABEL_LIMIT), "value": _fitted(value, VALUE_LIMIT)}
            for label, value in message.facts[:MAX_FACTS]
        ]
        yield {"type": "FactSet", "facts": facts}
    if message.tail:
        yield _block(_fitted(message.tail_title, LABEL_LIMIT), weight="Bolder")
        end = fit.fitted(message.tail, TAIL_LIMIT, escapes=_ESCAPES, from_end=True)
        # A single line break is no break to it.
        yield _block(end.replace("\n", "\n\n"), fontType="Monospace", spacing="Small")
    yield _block(f"Heartfly, project {_fitted(message.project, 100)}", isSubtle=True, size="Small")


def _block(text: str, **looks: object) -> dict[str, object]:
    return {"type": "TextBlock", "text": text, "wrap": True, **looks}


def _fitted(text: str, limit: int) -> str:
    return fit.fitted(text, limit, escapes=_ESCAPES)
