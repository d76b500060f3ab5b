"""A provider fails for an hour: the right people hear of it once, by mail, chat and webhook, and hear when it ends."""

from __future__ import annotations

import json
from email import message_from_bytes, policy

import pytest

from heartfly.config import Alerts
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.errors import ConflictError
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.commands import create_channel
from heartfly.notify.dispatch import Dispatcher
from heartfly.rules.commands import resolve
from tests.jobs.workshop import HOUR, MINUTE
from tests.notify.conftest import mail_settings
from tests.notify.test_email_delivery import Mailbox, server
from tests.one_database import postgres_if_slow
from tests.rules.neighbourhood import TEN, neighbourhood
from tests.world import SEALER, TEST

pytestmark = [pytest.mark.anyio, pytest.mark.story]


@postgres_if_slow
async def test_a_provider_fails_for_an_hour(db: Database, usage_db: Database, ids: IdSource) -> None:
    box = Mailbox()
    async with server(box) as port, neighbourhood(db, usage_db, ids) as there:
        story = there.story
        context = ChannelContext(http=story.http, mail=mail_settings(port), clock=story.clock)
        story.dispatcher = Dispatcher(
            story.world.db, context=context, sealer=SEALER, clock=story.clock,
            ids=story.world.ids, settings=Alerts(), base_url="https://heartfly.example", node_id=1,
        )  # fmt: skip
        await story.channel("chat", kind="slack")
        await story.world.db.write(
            lambda tx: create_channel(
                tx, there.pid, kind="email", name="mail", config={"to": "ops@example.com"}, at=story.clock.now(),
                ids=story.world.ids, sealer=SEALER,
            )
        )  # fmt: skip
        rate = {"of": "calls", "metric": "error_rate", "window": 3600, "threshold": "10", "least": 20, "clear": "5"}
        await there.rule(rate, name="Errors", severity="critical", by=["provider"], cooldown=7200, wait=120)

        # All is well for two hours, then openai fails for one; azure goes on.
        for minute in range(0, 120, 10):
            await there.calls(TEN + minute * MINUTE, 10)
            await there.calls(TEN + minute * MINUTE, 10, provider="azure")
        bad = TEN + 2 * HOUR
        story.told = len(story.receiver.requests)
        for minute in range(0, 60, 5):
            await there.calls(bad + minute * MINUTE, 4, status="503")
            await there.calls(bad + minute * MINUTE, 4, provider="azure")
            await there.look(bad + (minute + 1) * MINUTE)
            await there.look(bad + (minute + 4) * MINUTE)
        for minute in range(0, 150, 5):
            await there.calls(bad + HOUR + minute * MINUTE, 8)
            await there.look(bad + HOUR + (minute + 1) * MINUTE)

        events = [json.loads(one.body) for one in story.receiver.requests]
        hooks = [one for one in events if one.get("concern")]
        chats = [one["text"].splitlines()[0] for one in events if "Errors" in str(one.get("text"))]
        contents = [one.content for one in box.envelopes]
        mails = [message_from_bytes(one, policy=policy.default) for one in contents if isinstance(one, bytes)]
        about = [str(mail["Subject"]) for mail in mails if "Errors" in str(mail["Subject"])]

        assert ["rule.firing", "rule.resolved"] == [one["type"] for one in hooks if one["concern"]["name"] == "Errors"]
        begun, ended = (one for one in hooks if one["concern"]["name"] == "Errors")
        assert ("provider openai", "critical", "more than 10 %", "1 h") == tuple(
            begun["concern"][name] for name in ("scope", "severity", "threshold", "window")
        )
        assert begun["incident"] == ended["incident"]
        assert 6 == len(begun["concern"]["values"])
        assert begun["concern"]["values"][-1]["value"] == begun["concern"]["figure"]
        assert ["*ALERT: Errors (provider openai) [critical]*"] == chats[:1]
        assert 2 == len(chats)
        assert 2 == len(about)
        assert about[0] == "ALERT: Errors (provider openai) [critical]"
        assert about[1].startswith("RESOLVED: Errors (provider openai) (lasted ")
        (alert,) = [one for one in await there.alerts() if one.rule_name == "Errors"]
        assert alert.ended_by == "resolved"
        assert alert.context["conditions"][0]["figure"] == begun["concern"]["figure"]

        # Whoever looks at it a day later cannot change what was seen.
        before = dict(alert.context)
        with pytest.raises(ConflictError, match="has ended already"):
            await story.world.db.write(
                lambda tx: resolve(tx, there.pid, alert.uuid, "late", at=story.clock.now(), actor=TEST, ids=ids)
            )
        (after,) = [one for one in await there.alerts() if one.rule_name == "Errors"]
        assert before == after.context
