"""ntfy: a message to a topic, on ntfy.sh or a server of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from typing_extensions import override

from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, server
from heartfly.notify.message import Delivery, word
from heartfly.notify.plain import plain
from heartfly.notify.sentences import Tone

# docs.ntfy.sh, "Limitations": 4,096 bytes, beyond which a message becomes an attachment.
TEXT_LIMIT = 3_800
TITLE_LIMIT = 240
TAIL_LIMIT = 1_200
MAX_LINES = 15

_PRIORITIES = {Tone.DOWN: 4, Tone.DEGRADED: 3, Tone.UP: 3, Tone.NOTICE: 2}
_TAGS = {Tone.DOWN: "rotating_light", Tone.DEGRADED: "warning", Tone.UP: "white_check_mark", Tone.NOTICE: "bell"}


class NtfyChannel(ToldBySettings):
    kind: ClassVar[str] = "ntfy"
    title: ClassVar[str] = "ntfy"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 2
    # ntfy.sh refills a bucket of requests by one each five seconds, from sixty on.
    min_interval_s: ClassVar[float] = 1.0
    settings = (
        Setting(
            name="topic",
            label="Topic",
            example="ops-7f3a9c",
            hint="Whoever knows it can read it, unless the server wants a token.",
            limit=64,
            is_secret=True,
            like=re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII),
            must="must have 1 to 64 letters, digits, - and _",
        ),
        Setting(name="token", label="Access token", example="tk_…", usual="", is_secret=True),
        server("https://ntfy.sh"),
    )

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        message = word(delivery)
        text = plain(message, most_lines=MAX_LINES, tail_limit=TAIL_LIMIT, with_link=False)
        told = {
            "topic": config["topic"],
            "title": fit.fitted(message.title, TITLE_LIMIT, escapes={}, size=fit.utf8),
            "message": fit.fitted(text, TEXT_LIMIT, escapes={}, size=fit.utf8),
            "priority": _PRIORITIES[message.tone],
            "tags": [_TAGS[message.tone]],
            "click": message.link,
        }
        headers = {"Content-Type": "application/json"}
        if token := config.get("token"):
            headers["Authorization"] = f"Bearer {token}"
        return await exchange(context, "POST", self.base(config), headers=headers, body=msgspec.json.encode(told))
