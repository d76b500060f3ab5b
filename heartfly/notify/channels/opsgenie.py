"""Opsgenie, and those who take its alerts: an alert for each check, closed when the check is well again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from typing_extensions import override

from heartfly.notify import fit
from heartfly.notify.channels.base import ChannelContext, Receipt, exchange
from heartfly.notify.channels.told_by_settings import Setting, ToldBySettings, server
from heartfly.notify.message import Delivery, word
from heartfly.notify.plain import plain
from heartfly.notify.sentences import Tone
from heartfly.notify.tickets import ends_its_ticket, ticket_of

# docs.opsgenie.com, "Alert API": message 130, alias 512, description 15,000, 20 tags of 50, details 8,000, note 25,000.
MESSAGE_LIMIT = 130
TEXT_LIMIT = 14_000
TAIL_LIMIT = 6_000
MAX_LINES = 100
MAX_TAGS, TAG_LIMIT = 20, 50
MAX_FACTS, FACT_LIMIT = 30, 200
NAME_LIMIT = 500

_PRIORITIES = {Tone.DOWN: "P1", Tone.DEGRADED: "P3", Tone.UP: "P5", Tone.NOTICE: "P5"}


class OpsgenieChannel(ToldBySettings):
    kind: ClassVar[str] = "opsgenie"
    title: ClassVar[str] = "Opsgenie"
    folds_storms: ClassVar[bool] = False
    concurrency: ClassVar[int] = 4
    has_digest: ClassVar[bool] = False
    settings = (
        Setting(name="key", label="API key", hint="Of an integration of the kind API.", is_secret=True),
        server("https://api.opsgenie.com", hint="For accounts in Europe https://api.eu.opsgenie.com."),
    )

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        alias, told = alert_of(delivery)
        path = f"/{quote(alias, safe='')}/close?identifierType=alias" if ends_its_ticket(delivery.alerts[-1]) else ""
        headers = {"Authorization": f"GenieKey {config['key']}", "Content-Type": "application/json"}
        url = f"{self.base(config)}/v2/alerts{path}"
        return await exchange(context, "POST", url, headers=headers, body=msgspec.json.encode(told))


def alert_of(delivery: Delivery) -> tuple[str, dict[str, object]]:
    """Its alias, and what is said: of a new one, or when it is closed."""
    alert, message = delivery.alerts[-1], word(delivery)
    alias = ticket_of(alert)
    if ends_its_ticket(alert):
        note = plain(message, most_lines=MAX_LINES, tail_limit=0)
        return alias, {"source": "Heartfly", "note": fit.fitted(note, TEXT_LIMIT, escapes={})}
    text = plain(message, most_lines=MAX_LINES, tail_limit=TAIL_LIMIT)
    tags = alert.check.tags if alert.check is not None else ()
    return alias, {
        "message": fit.fitted(message.title, MESSAGE_LIMIT, escapes={}),
        "alias": alias,
        "description": fit.fitted(text, TEXT_LIMIT, escapes={}),
        "priority": _PRIORITIES[message.tone],
        "source": "Heartfly",
        "entity": fit.fitted(alert.check.name if alert.check is not None else message.project, NAME_LIMIT, escapes={}),
        "tags": [fit.fitted(tag, TAG_LIMIT, escapes={}) for tag in tags[:MAX_TAGS]],
        "details": {label: fit.fitted(value, FACT_LIMIT, escapes={}) for label, value in message.facts[:MAX_FACTS]},
    }
