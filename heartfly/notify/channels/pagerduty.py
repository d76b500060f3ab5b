"""PagerDuty, by its Events API v2: an event for each check, which is resolved when the check is well again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec
from typing_extensions import override

from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, server
from heartfly.notify.message import Delivery, word
from heartfly.notify.plain import plain
from heartfly.notify.sentences import Tone
from heartfly.notify.tickets import ends_its_ticket, ticket_of

# developer.pagerduty.com, "PD-CEF": summary 1,024 and dedup_key 255 characters, 512 KB in all.
SUMMARY_LIMIT = 1_000
TEXT_LIMIT = 8_000
TAIL_LIMIT = 4_000
MAX_LINES = 100

_SEVERITIES = {Tone.DOWN: "critical", Tone.DEGRADED: "warning", Tone.UP: "info", Tone.NOTICE: "info"}


class PagerDutyChannel(ToldBySettings):
    kind: ClassVar[str] = "pagerduty"
    title: ClassVar[str] = "PagerDuty"
    folds_storms: ClassVar[bool] = False
    concurrency: ClassVar[int] = 4
    has_digest: ClassVar[bool] = False
    settings = (
        Setting(
            name="key",
            label="Integration key",
            hint="Of an integration of the service, of the kind Events API v2.",
            is_secret=True,
            like=re.compile(r"[A-Za-z0-9]{32}", re.ASCII),
            must="must have 32 letters and digits",
        ),
        server("https://events.pagerduty.com", hint="For accounts in Europe https://events.eu.pagerduty.com."),
    )

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        body = msgspec.json.encode({"routing_key": config["key"], **event(delivery)})
        url = f"{self.base(config)}/v2/enqueue"
        return await exchange(context, "POST", url, headers={"Content-Type": "application/json"}, body=body)


def event(delivery: Delivery) -> dict[str, object]:
    alert, message = delivery.alerts[-1], word(delivery)
    key = ticket_of(alert)
    if ends_its_ticket(alert):
        return {"event_action": "resolve", "dedup_key": key}
    text = plain(message, most_lines=MAX_LINES, tail_limit=TAIL_LIMIT, with_link=False)
    return {
        "event_action": "trigger",
        "dedup_key": key,
        "payload": {
            "summary": fit.fitted(f"{message.title}: {message.sentence}", SUMMARY_LIMIT, escapes={}),
            "source": urlsplit(delivery.base_url).hostname or "heartfly",
            "severity": _SEVERITIES[message.tone],
            "timestamp": alert.at.isoformat(),
            "component": alert.check.slug or alert.check.uuid if alert.check is not None else alert.project_slug,
            "group": alert.project_slug,
            "class": alert.kind.value,
            "custom_details": {"text": fit.fitted(text, TEXT_LIMIT, escapes={}), "delivery": delivery.id},
        },
        "links": [{"href": message.link, "text": message.link_text}],
        "client": "Heartfly",
        "client_url": message.link,
    }
