"""Pushover: a push to the devices of a person or a group."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from typing_extensions import override

from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, server
from heartfly.notify.message import Delivery, word
from heartfly.notify.plain import plain
from heartfly.notify.sentences import Tone

# pushover.net/api: message 1,024 and title 250 characters of four bytes at most, address 512, its title 100.
TEXT_LIMIT = 1_020
TITLE_LIMIT = 250
URL_LIMIT = 512
TAIL_LIMIT = 400
MAX_LINES = 8

_PRIORITIES = {Tone.DOWN: 1, Tone.DEGRADED: 0, Tone.UP: 0, Tone.NOTICE: -1}
_KEY = re.compile(r"[A-Za-z0-9]{30}", re.ASCII)


class PushoverChannel(ToldBySettings):
    kind: ClassVar[str] = "pushover"
    title: ClassVar[str] = "Pushover"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    # Two connections at once are asked for, at most.
    concurrency: ClassVar[int] = 2
    min_interval_s: ClassVar[float] = 1.0
    settings = (
        Setting(
            name="token", label="Token of the application", is_secret=True, like=_KEY,
            must="must have 30 letters and digits",
        ),
        Setting(
            name="user", label="Key of the user or group", is_secret=True, like=_KEY,
            must="must have 30 letters and digits",
        ),
        Setting(
            name="device", label="Device", usual="", hint="Empty: all of them.", limit=200,
            like=re.compile(r"[A-Za-z0-9_,-]{1,200}", re.ASCII), must="must be names of devices, with commas between",
        ),
        server("https://api.pushover.net"),
    )  # fmt: skip

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        message = word(delivery)
        text = plain(message, most_lines=MAX_LINES, tail_limit=TAIL_LIMIT, with_link=False)
        told = {
            "token": config["token"],
            "user": config["user"],
            "title": fit.fitted(message.title, TITLE_LIMIT, escapes={}),
            "message": fit.fitted(text, TEXT_LIMIT, escapes={}),
            "priority": str(_PRIORITIES[message.tone]),
            "timestamp": str(int(delivery.created_at.timestamp())),
        }
        if len(message.link) <= URL_LIMIT:
            told |= {"url": message.link, "url_title": message.link_text}
        if device := config.get("device"):
            told["device"] = device
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.base(config)}/1/messages.json"
        return await exchange(context, "POST", url, headers=headers, body=urlencode(told).encode())
