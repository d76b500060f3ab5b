"""Looks at alert rules: what fires in which scope, when, how often, and what is told of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.db.changes import Tx
from heartfly.db.models import alert_rules, blind_intervals, incidents
from heartfly.rules.commands import OWN, delete, edit, resolve
from heartfly.rules.defaults import DEFAULTS
from heartfly.rules.rows import demand_unchanged
from heartfly.usage.customers import create_customer
from tests.jobs.workshop import HOUR, MINUTE
from tests.rules.neighbourhood import CALLS, TEN, Neighbourhood
from tests.world import TEST

pytestmark = pytest.mark.anyio


async def test_a_rule_fires_for_each_provider_by_itself_and_ends_by_itself(there: Neighbourhood) -> None:
    await there.rule(CALLS, name="busy", by=["provider"])
    await there.calls(TEN, 11)
    await there.calls(TEN, 5, provider="azure")

    begun = await there.look(TEN + MINUTE)
    still = await there.look(TEN + 2 * MINUTE)
    ended = await there.look(TEN + HOUR + MINUTE)

    assert ["rule.firing busy (provider openai)"] == begun
    assert [] == still
    assert ["rule.resolved busy (provider openai)"] == ended
    (alert,) = await there.alerts()
    assert ("requests", "medium", "provider openai", "resolved") == (
        alert.type, alert.severity, alert.scope_words, alert.ended_by,
    )  # fmt: skip


async def said(there: Neighbourhood, at: datetime, of: str) -> list[str]:
    """The sentences of what a look told of a rule."""
    there.move(at)
    await there.plant.fold()
    await there.shop.go(at)
    await there.story.dispatcher.round(at)
    return [event["summary"] for event in there.heard() if (event.get("concern") or {}).get("name") == of]


async def test_what_is_told_says_what_was_seen_and_why_it_ended(there: Neighbourhood) -> None:
    rate = {"of": "calls", "metric": "error_rate", "window": 3600, "threshold": "10", "least": 20}
    await there.rule(rate, name="errors")
    await there.calls(TEN, 16)
    await there.calls(TEN, 4, status="500")
    begun = await said(there, TEN + MINUTE, "errors")
    await there.calls(TEN + 40 * MINUTE, 3, status="500")
    ended = await said(there, TEN + HOUR + MINUTE, "errors")

    assert ["errors has been firing since 10:01 UTC. Error rate of calls in 1 h: 20 % (more than 10 %)."] == begun
    few = "of 3 calls, too few to judge by"
    assert [f"errors is in order again at 11:01 UTC. Error rate of calls in 1 h: 100 % ({few})."] == ended
    query = sa.select(incidents.c.explain).where(incidents.c.source_name == "errors")
    (row,) = await there.story.world._all(query)
    expected = "Error rate of calls in 1 h: 20 %, of 20 calls. The rule: error rate of calls in 1 h more than 10 %"
    assert f"{expected}, with at least 20 calls." == row.explain


async def test_of_two_conditions_an_end_tells_of_the_one_that_let_go(there: Neighbourhood) -> None:
    errors = {"of": "calls", "metric": "errors", "window": 3600, "threshold": "2"}
    await there.rule(errors, CALLS | {"window": 120}, name="both")
    await there.calls(TEN, 11, status="500")
    await said(there, TEN + MINUTE, "both")

    ended = await said(there, TEN + 5 * MINUTE, "both")

    assert ["both is in order again at 10:05 UTC. Calls in 2 min: 0 (no longer more than 10)."] == ended


async def test_errors_and_rates_and_times_and_units_and_costs_are_seen(there: Neighbourhood) -> None:
    one = {"of": "calls", "window": 3600, "threshold": "10"}
    given: dict[str, dict[str, Any]] = {
        "errors": {"metric": "errors", "threshold": "2"},
        "rate": {"metric": "error_rate", "threshold": "14"},
        "slow": {"metric": "latency", "percentile": "50", "threshold": "100"},
        "tokens": {"metric": "units", "name": "input_tokens", "threshold": "1999"},
        "cost": {"metric": "cost", "name": "USD", "threshold": "0.2"},
        "unpriced": {"metric": "unpriced", "threshold": "9"},
        "in a row": {"metric": "consecutive_errors", "threshold": "3", "op": ">="},
        "of azure": {"metric": "requests", "threshold": "0", "where": {"provider": "azure"}},
    }
    for name, condition in given.items():
        await there.rule(one | condition, name=name)
    await there.calls(TEN, 10, **{"units.input_tokens": "200"})
    await there.calls(TEN + timedelta(seconds=1), 7, cost="0.03", currency="USD")
    await there.calls(TEN + timedelta(seconds=2), 3, status="500", cost="0", currency="USD")

    told = await there.look(TEN + MINUTE)

    by_default = "Error rate of a provider (provider openai)"
    assert {f"rule.firing {name}" for name in [*given, by_default] if name != "of azure"} == set(told)
    figures = await there.figures()
    assert (len(given) + len(DEFAULTS), 0) == (figures["rules"], figures["failed"])


async def test_a_cooldown_holds_back_its_own_scope_and_no_other(there: Neighbourhood) -> None:
    await there.rule(CALLS | {"window": 60}, name="busy", by=["provider"], cooldown=600)
    told: list[tuple[int, str]] = []
    for minute, provider in ((0, "openai"), (2, "openai"), (4, "azure"), (11, "openai")):
        await there.calls(TEN + minute * MINUTE, 11, provider=provider)
        told += [(minute, one) for one in await there.look(TEN + (minute + 1) * MINUTE) if "firing" in one]
        await there.look(TEN + (minute + 2) * MINUTE)

    assert [(0, "rule.firing busy (provider openai)"), (4, "rule.firing busy (provider azure)"),
            (11, "rule.firing busy (provider openai)")] == told  # fmt: skip


async def test_it_must_hold_for_as_long_as_it_says(there: Neighbourhood) -> None:
    await there.rule(CALLS, name="busy", wait=180)
    await there.calls(TEN, 11)

    assert [(3, "rule.firing busy")] == await there.looks(TEN + MINUTE, TEN + 6 * MINUTE)


async def test_errors_in_a_row_end_with_a_success_between(there: Neighbourhood) -> None:
    await there.rule(
        {"of": "calls", "metric": "consecutive_errors", "window": 3600, "threshold": "5", "op": ">="}, by=["model"]
    )
    for second, status in enumerate(["500"] * 4 + ["200"] + ["500"] * 4):
        await there.calls(TEN + timedelta(seconds=second), status=status)

    assert [] == await there.look(TEN + MINUTE)
    await there.calls(TEN + MINUTE, status="429")
    assert ["rule.firing a rule (model gpt)"] == await there.look(TEN + 2 * MINUTE)


async def test_an_absence_is_told_but_not_of_time_in_which_nobody_could_hear(there: Neighbourhood) -> None:
    await there.rule(CALLS | {"against": "absence", "threshold": None}, name="silent", by=["provider"])
    await there.calls(TEN, 5)
    await _deaf(there, TEN + 30 * MINUTE, TEN + 40 * MINUTE)

    assert [] == await there.look(TEN + 61 * MINUTE)
    assert ["rule.firing silent (provider openai)"] == await there.look(TEN + 101 * MINUTE)
    await there.calls(TEN + 102 * MINUTE)
    assert ["rule.resolved silent (provider openai)"] == await there.look(TEN + 103 * MINUTE)


async def test_a_restart_of_some_seconds_keeps_no_alert_open_for_as_long_as_its_window(there: Neighbourhood) -> None:
    await there.rule(CALLS, name="busy")
    await there.calls(TEN, 11)
    assert ["rule.firing busy"] == await there.look(TEN + MINUTE)
    await _deaf(there, TEN + 50 * MINUTE, TEN + 50 * MINUTE + timedelta(seconds=4))

    assert ["rule.resolved busy"] == await there.look(TEN + 62 * MINUTE)


async def _deaf(there: Neighbourhood, from_at: datetime, to_at: datetime) -> None:
    row = {"id": 1, "node_id": 1, "from_at": from_at, "to_at": to_at}
    columns = blind_intervals.c.keys()
    full = {name: row.get(name, "" if name in {"cause", "reason", "kind"} else None) for name in columns}
    await there.story.world.db.write(lambda tx: tx.conn.execute(sa.insert(blind_intervals).values(full)) and None)


async def test_a_spike_is_measured_against_the_day_before_it(there: Neighbourhood) -> None:
    spike = CALLS | {"against": "before", "windows_before": 23, "threshold": "2", "least": 101}
    await there.rule(spike, name="spike")
    for hour in range(24):
        await there.calls(TEN + hour * HOUR, 60)
    begins = TEN + 24 * HOUR

    await there.calls(begins, 120)
    assert [] == await there.look(begins + MINUTE)
    await there.calls(begins + MINUTE, 1)
    assert ["rule.firing spike"] == await there.look(begins + 2 * MINUTE)


async def test_a_broken_rule_is_told_and_keeps_no_other_from_its_look(there: Neighbourhood) -> None:
    await there.rule({"of": "meter", "metric": "value", "name": "gone", "window": 3600, "threshold": "1"}, name="lost")
    await there.rule(CALLS, name="busy")
    await there.calls(TEN, 11)

    assert ["rule.firing busy"] == await there.look(TEN + MINUTE)
    own = [row.trouble for row in await there.rules() if row.origin == OWN]
    assert ["", "what it looks at is gone: meter gone"] == sorted(own)
    figures = await there.figures()
    assert ("failed", "lost: what it looks at is gone: meter gone") == (figures["outcome"], figures["words"])


async def test_requests_by_customer_and_of_an_endpoint_are_seen(there: Neighbourhood) -> None:
    requests = {"of": "requests", "metric": "errors", "window": 3600, "threshold": "2"}
    await there.rule(requests, name="by customer", by=["customer"])
    await there.rule(requests | {"metric": "requests", "where": {"endpoint": "GET /nothing"}}, name="nothing")
    await there.requests(TEN, 3, status="503")

    told = await there.look(TEN + MINUTE)

    assert 1 == len(told)
    assert told[0].startswith("rule.firing by customer (customer ")


async def test_an_end_names_its_scope_as_its_beginning_did_though_nothing_is_seen_of_it_any_more(
    there: Neighbourhood,
) -> None:
    await there.usage.write(
        lambda tx: create_customer(tx, there.pid, name="Acme", wanted=["acme"], actor=TEST, at=TEN, ids=there.ids)
    )
    await there.rule(CALLS, name="busy", by=["customer"])
    await there.calls(TEN, 11, customer="acme")

    assert ["rule.firing busy (customer Acme)"] == await there.look(TEN + MINUTE)
    assert ["rule.resolved busy (customer Acme)"] == await there.look(TEN + timedelta(hours=3))


async def test_dead_letters_are_seen(there: Neighbourhood) -> None:
    await there.rule({"of": "dead_letters", "metric": "count", "window": 3600, "threshold": "0"}, name="dead")
    there.move(TEN)
    bad = {"event_type": "x", "customer_id": "a", "transaction_id": "t", "timestamp": "yesterday", "properties": {}}
    await there.plant.ingest.take(there.pid, [bad], wire="native")

    assert ["rule.firing dead"] == await there.look(TEN + MINUTE)
    assert ["rule.resolved dead"] == await there.look(TEN + HOUR + 2 * MINUTE)


async def test_resolving_keeps_what_was_seen_and_is_not_told_again(there: Neighbourhood) -> None:
    await there.rule(CALLS, name="busy")
    await there.calls(TEN, 11)
    await there.look(TEN + MINUTE)
    (alert,) = await there.alerts()
    before = dict(alert.context)

    await there.story.world.db.write(
        lambda tx: resolve(tx, there.pid, alert.uuid, "a batch of ours", at=TEN + 2 * MINUTE, actor=TEST, ids=there.ids)
    )

    assert ["rule.resolved busy"] == await there.look(TEN + 3 * MINUTE)
    (after,) = await there.alerts()
    assert before == after.context
    assert ("a batch of ours", "test", "by_hand") == (after.note, after.resolved_by, after.ended_by)
    assert [] == await there.look(TEN + 4 * MINUTE)
    await there.look(TEN + HOUR + MINUTE)
    await there.calls(TEN + HOUR + MINUTE, 11)
    assert ["rule.firing busy"] == await there.look(TEN + HOUR + 2 * MINUTE)


async def test_a_rule_that_is_edited_or_deleted_ends_what_it_had_begun(there: Neighbourhood) -> None:
    first = await there.rule(CALLS, name="busy")
    second = await there.rule(CALLS, name="busy too")
    await there.calls(TEN, 11)
    await there.look(TEN + MINUTE)
    at = TEN + 2 * MINUTE

    await there.story.world.db.write(
        lambda tx: edit(tx, there.pid, first, enabled=False, at=at, actor=TEST, ids=there.ids)
    )
    await there.story.world.db.write(lambda tx: delete(tx, there.pid, second, at=at, actor=TEST, ids=there.ids))

    assert ["rule.resolved busy"] == await there.look(TEN + 3 * MINUTE)
    assert ["by_hand", "deleted"] == [alert.ended_by for alert in await there.alerts()]
    assert {} == await there.standings()


async def test_what_a_look_judged_cannot_be_deleted_before_the_look_is_written(there: Neighbourhood) -> None:
    """Else an incident would be opened of a rule that is gone. (SQLite has one writer.)"""
    if not there.usage.on_postgres:
        return
    await there.rule(CALLS, name="busy")
    revs = {row.id: row.rev for row in await there.rules()}
    free = sa.select(alert_rules.c.id).where(alert_rules.c.pid == there.pid)

    def write(tx: Tx) -> list[int]:
        assert set(revs) == demand_unchanged(tx, there.pid, revs)
        other = sa.create_engine(tx.conn.engine.url, poolclass=sa.NullPool)
        with other.connect() as beside:
            return list(beside.execute(free.with_for_update(skip_locked=True)).scalars())

    assert [] == await there.story.world.db.write(write)
    async with there.story.world.db.read() as read:
        assert set(revs) == set((await read.execute(free)).scalars())
