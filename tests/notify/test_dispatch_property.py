"""Whatever receivers and processes do: nothing is lost, order is kept, and a repeat is flagged as one."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from heartfly.clock import SystemClock
from heartfly.core.words import AlertKind
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.migrate import upgrade
from heartfly.errors import DeliveryError
from heartfly.net.http import OutgoingHttp
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.message import Delivery
from heartfly.notify.work import LEASE
from tests.notify.examples import at
from tests.notify.post_office import PostOffice, ScriptedChannel

OUTCOMES = ("ok", "refused", "gone", "hung up", "bug", "crash before", "crash after")
TAKEN = {"ok", "hung up", "crash after"}
"""After these the receiver has the message, whether or not we know."""


@dataclass(frozen=True)
class Alert:
    channel: int
    source: int
    kind: AlertKind


@dataclass(frozen=True)
class Wait:
    seconds: int
    restart: bool


steps = st.lists(
    st.one_of(
        st.builds(Alert, st.integers(0, 2), st.integers(0, 2), st.sampled_from([AlertKind.DOWN, AlertKind.UP])),
        st.builds(Wait, st.sampled_from([0, 1, 6, 70]), st.booleans()),
    ),
    max_size=25,
)


@dataclass
class Receiver:
    """Does to each try what is next in the script, and then is well for ever."""

    script: Iterator[str]
    taken: list[Delivery] = field(default_factory=list)
    tried: list[Delivery] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)

    async def __call__(self, delivery: Delivery) -> None:
        outcome = next(self.script, "ok")
        note(f"{delivery.id[:4]} attempt {delivery.attempt}: {outcome}")
        self.tried.append(delivery)
        self.last[delivery.id] = outcome
        if outcome in TAKEN:
            self.taken.append(delivery)
        match outcome:
            case "refused":
                raise DeliveryError("busy", code=503)
            case "gone":
                raise DeliveryError("gone", permanent=True, code=410)
            case "hung up":
                raise DeliveryError("no answer", ambiguous=True)
            case "bug":
                raise ZeroDivisionError
            case "crash before" | "crash after":
                # The process is gone: nothing behind this line happens, least of all the recording.
                raise asyncio.CancelledError
            case _:
                return


async def play(post: PostOffice, script: list[Alert | Wait], outcomes: list[str]) -> tuple[Receiver, set[str]]:
    await post.open()
    receiver = Receiver(iter(outcomes))
    kinds = [
        ScriptedChannel(receiver, kind="machine"),
        ScriptedChannel(receiver, kind="people", folds_storms=True, fold_limit=2),
        ScriptedChannel(receiver, kind="paced", folds_storms=True, fold_limit=2, min_interval_s=1.0),
    ]
    channels = [(await post.scripted(channel.kind, events=["check.down"])).channel_id for channel in kinds]
    node_id, now = 1, at("03:00")
    dispatcher = post.dispatcher(*kinds, node_id=node_id)
    keys: set[str] = set()
    for step in script:
        if isinstance(step, Alert):
            keys.add(await post.alert([channels[step.channel]], f"check:{step.source}", step.kind, at=now))
            continue
        now += timedelta(seconds=step.seconds)
        if step.restart:
            node_id += 1
            dispatcher = post.dispatcher(*kinds, node_id=node_id)
        await dispatcher.round(now)
    for _ in range(200):
        # What a crashed sender left behind is only another's to take.
        node_id += 1
        due = await post.dispatcher(*kinds, node_id=node_id).round(now)
        if due is None:
            return receiver, keys
        now = max(due, now + LEASE)
    raise AssertionError("it never came to an end")


async def check(post: PostOffice, receiver: Receiver, keys: set[str]) -> None:
    by_id: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in receiver.tried:
        by_id[delivery.id].append(delivery)
    for tries in by_id.values():
        attempts = [delivery.attempt for delivery in tries]
        assert sorted(set(attempts)) == attempts, "each try has a number of its own"

    seen: set[str] = set()
    for delivery in receiver.taken:
        assert delivery.possible_duplicate or delivery.id not in seen, "a repeat is flagged"
        seen.add(delivery.id)

    carriers: dict[str, set[str]] = defaultdict(set)
    order: dict[tuple[str, str], list[str]] = defaultdict(list)
    rows = {row.delivery_id: row for row in await post.notifications() if row.pid == post.pid}
    for delivery in receiver.taken:
        for alert in delivery.alerts:
            if alert.check is None:
                continue  # a notice about a channel, one for each of the others
            carriers[alert.key].add(delivery.id)
            told = order[str(rows[delivery.id].channel_id), alert.check.name]
            if alert.key not in told:
                told.append(alert.key)
    assert all(len(ids) == 1 for ids in carriers.values()), "an alert arrives under one id only"
    for told in order.values():
        assert sorted(told, key=lambda key: int(key.rpartition(":")[2])) == told, "order is kept within a source"

    states = {row.delivery_id: row.state for row in await post.notifications() if row.pid == post.pid}
    assert set(states.values()) <= {"sent", "failed"}, "everything comes to an end"
    for delivery_id, state in states.items():
        if state == "sent":
            assert receiver.last[delivery_id] == "ok", "nothing is marked as sent that was not"
    mentioned = {alert.key for delivery in receiver.tried for alert in delivery.alerts}
    assert keys <= mentioned, "nothing is lost"


@asynccontextmanager
async def office(database_url: str, folder: Path) -> AsyncIterator[PostOffice]:
    db = Database(url=database_url, data_dir=folder, clock=SystemClock())
    upgrade(db.engine)
    db.start()
    http = OutgoingHttp(allow=(), own_hosts=(), user_agent="Heartfly/test")
    yield PostOffice(db, IdSource(1), ChannelContext(http=http, mail=None), at("03:00"))
    await http.aclose()
    await db.stop()


def test_whatever_happens_nothing_is_lost_and_order_is_kept(database_url: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        place = office(database_url, tmp_path)
        post = runner.run(place.__aenter__())

        @settings(
            max_examples=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
            database=None,
        )
        @given(steps, st.lists(st.sampled_from(OUTCOMES), max_size=20))
        def one_life(script: list[Alert | Wait], outcomes: list[str]) -> None:
            receiver, keys = runner.run(play(post, script, outcomes))
            runner.run(check(post, receiver, keys))

        try:
            one_life()
        finally:
            runner.run(place.__aexit__(None, None, None))


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_thousand_lives(database_url: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        place = office(database_url, tmp_path)
        post = runner.run(place.__aenter__())

        @settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
        @given(steps, st.lists(st.sampled_from(OUTCOMES), max_size=30))
        def one_life(script: list[Alert | Wait], outcomes: list[str]) -> None:
            receiver, keys = runner.run(play(post, script, outcomes))
            runner.run(check(post, receiver, keys))

        try:
            one_life()
        finally:
            runner.run(place.__aexit__(None, None, None))
