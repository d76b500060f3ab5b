"""Text messages by Twilio: what matters in two segments, and the address of the rest."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from typing_extensions import override

from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, server
from heartfly.notify.message import Delivery, Message, word
from heartfly.notify.plain import n_unnamed

# twilio.com/docs: 1,600 characters; each 153 of them, or 67 where some are not of GSM's alphabet, are paid for.
TEXT_LIMIT = 400
NAME_LIMIT = 30
MAX_LINES = 5
_PHONE = re.compile(r"\+[1-9][0-9]{5,14}", re.ASCII)


class TwilioChannel(ToldBySettings):
    kind: ClassVar[str] = "sms"
    title: ClassVar[str] = "SMS by Twilio"
    folds_storms: ClassVar[bool] = True
    fold_limit: ClassVar[int] = MAX_LINES
    concurrency: ClassVar[int] = 2
    # A number of its own sends one segment a second.
    min_interval_s: ClassVar[float] = 3.0
    has_digest: ClassVar[bool] = False
    settings = (
        Setting(
            name="to", label="Phone number", example="+4915112345678", like=_PHONE,
            must="must be a number with + and the country's code, such as +4915112345678",
        ),
        Setting(
            name="sender", label="Sent from", example="+4915735980000",
            hint="A number of Twilio's, or the id of a messaging service (MG…).",
            like=re.compile(r"\+[1-9][0-9]{5,14}|MG[0-9a-f]{32}", re.ASCII),
            must="must be a number such as +4915735980000, or the id of a messaging service",
        ),
        Setting(
            name="account", label="Account SID", example="AC…", like=re.compile(r"AC[0-9a-f]{32}", re.ASCII),
            must="must be an account's SID: AC and 32 hexadecimal digits",
        ),
        Setting(name="token", label="Auth token", is_secret=True),
        server("https://api.twilio.com"),
    )  # fmt: skip

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        return super().secrets(config) | {_credentials(config)}

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        from_service = config["sender"].startswith("MG")
        told = {
            "To": config["to"],
            "MessagingServiceSid" if from_service else "From": config["sender"],
            "Body": text(word(delivery)),
        }
        headers = {
            "Authorization": f"Basic {_credentials(config)}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        url = f"{self.base(config)}/2010-04-01/Accounts/{config['account']}/Messages.json"
        return await exchange(context, "POST", url, headers=headers, body=urlencode(told).encode())


def text(message: Message) -> str:
    names = [f"{line.label}: {fit.fitted(line.name, NAME_LIMIT, escapes={})}" for line in message.lines[:MAX_LINES]]
    if n_more := n_unnamed(message, MAX_LINES):
        names.append(f"+{n_more} more")
    told = f"{message.title}. {message.sentence}" if not names else f"{message.title}. {', '.join(names)}."
    return f"{fit.fitted(told, TEXT_LIMIT, escapes={})} {message.link}"


def _credentials(config: Mapping[str, Any]) -> str:
    return base64.b64encode(f"{config['account']}:{config['token']}".encode()).decode()
