"""A budget is used up: mail, chat and a webhook hear of each threshold once, at real receivers; and so next month."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest

from heartfly.config import Alerts
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.jobs.catalogue import budgets
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.commands import create_channel
from heartfly.notify.dispatch import Dispatcher
from tests.budgets.treasury import Treasury
from tests.jobs.workshop import Workshop
from tests.notify.conftest import mail_settings
from tests.notify.receivers import HttpReceiver
from tests.notify.test_email_delivery import Mailbox, server
from tests.stories.story import DAY, Story, begin
from tests.world import SEALER

pytestmark = [pytest.mark.anyio, pytest.mark.story]
NOON = DAY + timedelta(hours=12)
MINUTE, A_DAY = timedelta(minutes=1), timedelta(days=1)


class Office:
    """A project whose budgets are looked at by the job of production, each minute that the test lets pass."""

    def __init__(self, story: Story, treasury: Treasury, box: Mailbox) -> None:
        self.story, self.treasury, self.box = story, treasury, box
        kind = budgets(story.world.db, usage=treasury.usage, ids=treasury.ids)
        self.shop = Workshop(story.world, story.clock, kind)

    async def look(self, at: datetime) -> list[str]:
        """What the webhook heard by this look: type, figure and threshold."""
        await self.treasury.fold()
        await self.shop.go(at)
        for n in range(8):  # what waits for its turn on a channel goes in one of the next rounds
            await self.story.dispatcher.round(at + n * timedelta(seconds=1))
        heard = [json.loads(one.body) for one in self.story.receiver.requests[self.story.told :]]
        self.story.told = len(self.story.receiver.requests)
        return [f"{one['type']} {one['concern']['threshold']}" for one in heard if one.get("concern")]

    @property
    def chat(self) -> list[str]:
        found = [json.loads(one.body) for one in self.story.receiver.requests]
        return [str(one["text"]) for one in found if "blocks" in one]

    @property
    def subjects(self) -> list[str]:
        contents = [one.content for one in self.box.envelopes]
        return [
            str(message_from_bytes(one, policy=policy.default)["Subject"]) for one in contents if isinstance(one, bytes)
        ]


@pytest.fixture
async def office(db: Database, usage_db: Database, ids: IdSource) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        receiver, box = await stack.enter_async_context(HttpReceiver()), Mailbox()
        port = await stack.enter_async_context(server(box))
        story = await begin(db, ids, receiver)
        stack.push_async_callback(story.http.aclose)
        await story.channel("hook")
        await story.channel("chat", kind="slack")
        await db.write(
            lambda tx: create_channel(
                tx,
                story.world.project.pid,
                kind="email",
                name="mail",
                config={"to": "ops@example.com"},
                at=DAY,
                ids=ids,
                sealer=SEALER,
            )
        )
        story.dispatcher = Dispatcher(
            db,
            context=ChannelContext(http=story.http, mail=mail_settings(port), clock=story.clock),
            sealer=SEALER,
            clock=story.clock,
            ids=ids,
            settings=Alerts(),
            base_url="https://heartfly.example",
            node_id=1,
        )
        yield Office(story, Treasury(story.world, usage_db, story.clock), box)


async def test_a_month_of_a_budget_is_told_by_mail_chat_and_webhook_each_thing_once(office: Office) -> None:
    treasury, clock = office.treasury, office.story.clock
    clock.move_to(NOON)
    budget = await treasury.budget(allocations=[{"by": "provider", "name": "apify", "amount": "20"}])
    await office.look(NOON + MINUTE)
    await treasury.call("50.000000000000000001")
    half = await office.look(NOON + 2 * MINUTE)
    nothing = await office.look(NOON + 3 * MINUTE)
    clock.move_to(NOON + A_DAY)
    await treasury.call("20", provider="apify", model="actor")
    part = await office.look(NOON + A_DAY + MINUTE)
    await treasury.call("30")
    spent = await office.look(NOON + A_DAY + 2 * MINUTE)
    await treasury.edit(budget, amount="500")
    raised = await office.look(NOON + A_DAY + 3 * MINUTE)
    clock.move_to(NOON + 30 * A_DAY)  # the 1st of April
    april = await office.look(NOON + 30 * A_DAY + MINUTE)

    assert ["budget.reached 50 % of 100.00 USD"] == half
    assert [] == nothing
    assert ["budget.reached of 20.00 USD"] == part
    assert [f"budget.reached {percent} % of 100.00 USD" for percent in (80, 90, 100)] == spent
    assert [] == raised  # its part is still spent, and so it is still told of
    assert ["budget.cleared of 500.00 USD"] == april
    assert "BUDGET: Models [medium]" == office.subjects[0]
    assert "BUDGET IN ORDER: Models" in office.subjects[-1]
    assert f"/usage/budgets/{budget}" in office.chat[0]
    assert "Models has reached 50 % at " in office.chat[0]
    assert "Spent in March 2026: 50.00 USD, 50 % (50 % of 100.00 USD)." in office.chat[0]
    told = [key for key, _, _ in await _told_once(treasury, budget)]
    assert sorted(set(told)) == sorted(told)


async def test_of_many_budgets_one_that_cannot_be_looked_at_holds_up_no_other(office: Office) -> None:
    treasury, clock = office.treasury, office.story.clock
    clock.move_to(NOON)
    first = await treasury.budget(name="First")
    await treasury.budget(name="Second", hard_stop=True)
    await office.look(NOON + MINUTE)
    await treasury.call("55")
    await treasury.changer.delete(first, rev=None)

    told = await office.look(NOON + 2 * MINUTE)
    (run,) = [row for row in await office.shop.runs() if row.slot_at == NOON + 2 * MINUTE]

    assert ["budget.reached 50 % of 100.00 USD"] == told
    figures = {"budgets": 1, "told": 1, "exceeded": 0, "failed": 0}
    assert figures == {name: run.figures[name] for name in figures}


async def _told_once(treasury: Treasury, budget: str) -> list[Any]:
    return [((period, what), period, nth) for period, what, nth in await treasury.told(budget)]
