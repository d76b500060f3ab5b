"""What a rule would have done in past days is what looks would have made of them; what is not known is said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from typing_extensions import override

from heartfly.core.alert_rules import Family
from heartfly.core.rule_definitions import rule_from
from heartfly.core.windows import Window
from heartfly.errors import NotFoundError, OverloadedError
from heartfly.rules import seeing
from heartfly.rules.backtest import Backtest, backtest
from heartfly.rules.figures import Table
from heartfly.rules.seeing import deaf_times, reads_of
from heartfly.rules.sources import SOURCES
from heartfly.rules.sources.base import Reads, What
from heartfly.rules.sources.calls import Calls
from tests.jobs.workshop import HOUR, MINUTE
from tests.rules.neighbourhood import CALLS, TEN, Neighbourhood

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def tried(there: Neighbourhood, *conditions: dict[str, Any], **rest: Any) -> Backtest:
    now = there.story.clock.now()
    await there.plant.fold()
    async with there.story.world.db.read() as main, there.usage.read() as usage:
        reads = await reads_of(main, usage, there.pid, now=now)
        deaf = await deaf_times(main, now=now)
        return await backtest(reads, rule_from({"conditions": list(conditions), **rest}), deaf, now=now)


async def test_it_fires_where_looks_fire(there: Neighbourhood) -> None:
    """On whole hours, where both look at the same windows."""
    await there.rule(CALLS, name="busy", by=["provider"], cooldown=4 * 3600)
    live: list[tuple[Any, str]] = []
    for hour, (n, other) in enumerate(((5, 0), (11, 2), (12, 20), (3, 3), (20, 1), (30, 12), (1, 1), (11, 11), (0, 0))):
        at = TEN + hour * HOUR
        if n:
            await there.calls(at + MINUTE, n)
        if other:
            await there.calls(at + MINUTE, other, provider="azure")
        live += [(at + HOUR, told) for told in await there.look(at + HOUR)]

    told = await tried(there, CALLS, by=["provider"], cooldown=4 * 3600)

    fired = [(one.from_at, f"rule.firing busy (provider {one.scope[0]})") for one in told.fired]
    ended = [
        (one.to_at, f"rule.resolved busy (provider {one.scope[0]})") for one in told.fired if one.to_at is not None
    ]
    assert sorted(live) == sorted([*fired, *ended])
    assert 2 <= len(fired)


async def test_rates_costs_spikes_and_times_are_worked_out_of_hours(there: Neighbourhood) -> None:
    for hour in range(30):
        await there.calls(TEN + hour * HOUR, 60, cost="0.01", currency="USD")
    await there.calls(TEN + 29 * HOUR + MINUTE, 80, status="500", latency_ms="900", cost="1", currency="USD")
    there.move(TEN + 30 * HOUR)
    spike = CALLS | {"against": "before", "windows_before": 23, "threshold": "2", "least": 101}
    end = TEN + 30 * HOUR

    for condition in (
        CALLS | {"metric": "error_rate"},
        CALLS | {"metric": "errors"},
        CALLS | {"metric": "cost", "name": "USD"},
        CALLS | {"metric": "latency", "percentile": "90", "threshold": "500"},
        spike,
    ):
        told = await tried(there, condition)
        assert [end] == [one.from_at for one in told.fired], condition
        assert told.conditions[0].held == 1, condition
    summed = await tried(there, CALLS | {"window": 6 * 3600, "threshold": "400"})
    assert [end] == [one.from_at for one in summed.fired]


class Endless(Calls):
    """Its present is read for longer than a read may last."""

    @override
    async def read(self, reads: Reads, what: What, window: Window) -> Table:
        raise OperationalError("SELECT", {}, Exception("interrupted"))


async def test_a_present_that_takes_too_long_to_read_is_no_fault_of_ours(
    there: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    await there.calls(TEN + MINUTE, 3)
    there.move(TEN + 1.5 * HOUR)
    monkeypatch.setattr(seeing, "SOURCES", {**SOURCES, Family.CALLS: Endless()})

    with pytest.raises(OverloadedError, match="takes too long"):
        await tried(there, CALLS)


async def test_short_windows_are_looked_at_for_a_day_in_steps_of_their_own(there: Neighbourhood) -> None:
    await there.calls(TEN + 7 * MINUTE, 11)
    there.move(TEN + HOUR)
    told = await tried(there, CALLS | {"window": 600})
    assert (timedelta(minutes=10), DAY) == (told.step, told.to_at - told.from_at)
    assert [(TEN + 10 * MINUTE, TEN + 20 * MINUTE)] == [(one.from_at, one.to_at) for one in told.fired]


async def test_what_the_past_does_not_tell_is_said_and_not_shown_as_calm(there: Neighbourhood) -> None:
    there.move(TEN)
    use = await tried(there, {"of": "limits", "metric": "use", "window": 3600, "threshold": "80"})
    streak = await tried(there, CALLS | {"metric": "consecutive_errors"})
    slow = await tried(there, CALLS | {"metric": "latency", "window": 2 * 86_400})
    for one, words in ((use, "only the present"), (streak, "event by event"), (slow, "not put together")):
        assert words in one.unknown
        assert [] == one.points
    with pytest.raises(NotFoundError):
        await tried(there, {"of": "meter", "metric": "value", "name": "gone", "window": 3600, "threshold": "1"})


async def test_a_meter_and_requests_and_dead_letters_have_a_past(there: Neighbourhood) -> None:
    await there.plant.meter("bytes", {"event_types": ["http.request"], "aggregation": "sum", "value": "response_bytes"})
    await there.requests(TEN, 5, n_out=100)
    there.move(TEN + 2 * HOUR)
    of_meter = await tried(
        there, {"of": "meter", "metric": "value", "name": "bytes", "window": 3600, "threshold": "499"}
    )
    of_requests = await tried(there, {"of": "requests", "metric": "requests", "window": 3600, "threshold": "4"})
    dead = await tried(there, {"of": "dead_letters", "metric": "count", "window": 3600, "threshold": "0"})
    assert [(TEN + HOUR, TEN + 2 * HOUR)] == [(one.from_at, one.to_at) for one in of_meter.fired]
    assert [(TEN + HOUR, TEN + 2 * HOUR)] == [(one.from_at, one.to_at) for one in of_requests.fired]
    assert ([], True) == (dead.fired, dead.conditions[0].never)


async def test_what_goes_on_in_the_hour_that_runs_is_seen_as_the_job_sees_it(there: Neighbourhood) -> None:
    await there.rule(CALLS, name="busy", by=["provider"])
    await there.calls(TEN + MINUTE, 4)
    await there.calls(TEN + 40 * MINUTE, 4)
    await there.calls(TEN + 65 * MINUTE, 8)  # of the last 60 minutes 12, of no whole hour more than 8
    await there.calls(TEN + 66 * MINUTE, 11, provider="azure")
    now = TEN + 70 * MINUTE
    live = await there.look(now)

    told = await tried(there, CALLS, by=["provider"])

    assert [("azure",), ("openai",)] == [one.scope for one in told.fired]
    assert {now} == {one.from_at for one in told.fired}
    assert {f"rule.firing busy (provider {one.scope[0]})" for one in told.fired} <= set(live)
    assert (now, now) == (told.to_at, told.points[-1].at)
