"""All limits that hold are asked together: nothing is taken unless all have room; the first that denies is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from heartfly.core.amounts import ONE
from heartfly.core.limits.ledger import Ledger
from heartfly.core.limits.rules import Applied, Kind, Limit, Span, bounds
from heartfly.core.limits.tracked import made_of
from heartfly.db.types import instant, micros

NOW = micros(datetime(2026, 3, 2, 10, tzinfo=UTC))
HOUR_US = 3_600_000_000
NOBODY: tuple[str, ...] = ()


def windows(limit: Limit, now_us: int) -> tuple[int, int]:
    from_at, to_at = bounds(limit, instant(now_us))
    return micros(from_at), micros(to_at)


def quota(number: int, unit: str, amount: int, **rest: object) -> Limit:
    made = Limit(id=number, scope=(), unit=unit, kind=Kind.ROLLING, amount=amount * ONE, period_us=HOUR_US)
    return replace(made, **rest)  # type: ignore[arg-type]


REQUESTS, TOKENS = quota(1, "requests", 2), quota(2, "input_tokens", 1_000)
COST = quota(3, "cost:USD", 1, kind=Kind.CALENDAR, span=Span.MONTH, period_us=0)
ALL = [Applied(one, NOBODY) for one in (REQUESTS, TOKENS, COST)]


def units(**given: int) -> Mapping[str, int]:
    return {name.replace("usd", "cost:USD"): value * ONE for name, value in given.items()}


def ledger() -> Ledger:
    return Ledger(windows, NOW)


def used(it: Ledger) -> list[int]:
    return [it.standing(one.limit, NOBODY).used // ONE for one in ALL]


def test_what_one_limit_denies_takes_nothing_of_the_others() -> None:
    it = ledger()

    answer = it.ask(ALL, units(requests=1, input_tokens=1_001), reserve=True)

    assert answer.denied_by is not None
    assert (TOKENS, None, []) == (answer.denied_by.applied.limit, answer.denied_by.wait_us, list(answer.holds))
    assert [0, 0, 0] == used(it)
    assert {} == it.changed


def test_token_limits_are_evaluated_and_so_is_cost() -> None:
    it = ledger()
    assert it.ask(ALL, units(input_tokens=1_000), reserve=True).denied_by is None

    denied = it.ask(ALL, units(input_tokens=1), reserve=True).denied_by
    assert denied is not None
    assert TOKENS == denied.applied.limit
    it.count(ALL, units(requests=0, usd=1), at_us=NOW)
    without = [one for one in ALL if one.limit is not TOKENS]
    denied = it.ask(without, units(), reserve=True).denied_by
    assert denied is not None
    assert COST == denied.applied.limit


def test_the_first_that_denies_is_named_and_all_are_told() -> None:
    it = ledger()
    it.count(ALL, units(requests=2, input_tokens=1_000, usd=1), at_us=NOW)

    answer = it.ask(ALL, units(), reserve=True)

    assert [True, True, True] == [one.short for one in answer.standings]
    assert answer.denied_by is answer.standings[0]
    assert [0, 0, 0] == [one.remaining for one in answer.standings]


def test_a_look_takes_nothing() -> None:
    it = ledger()

    answer = it.ask(ALL, units(input_tokens=5), reserve=False)

    assert (None, []) == (answer.denied_by, list(answer.holds))
    assert {} == it.changed


def test_a_unit_that_a_call_does_not_name_is_no_matter_of_it() -> None:
    images = [Applied(quota(4, "images", 0), NOBODY)]

    assert ledger().ask(images, units(), reserve=True).denied_by is None


def test_a_reservation_ends_with_what_was_used_of_each_unit() -> None:
    it = ledger()
    holds = it.ask(ALL, units(input_tokens=600), reserve=True).holds
    assert [1, 600, 0] == used(it)

    for hold, one in zip(holds, ALL, strict=True):
        it.settle(one.limit, hold, units(input_tokens=150, usd=2))

    assert [1, 150, 2] == used(it)
    assert [0, 0, 0] == [it.standing(one.limit, NOBODY).held for one in ALL]


def test_of_what_nobody_tells_as_much_was_used_as_was_reserved() -> None:
    it = ledger()
    for hold, one in zip(it.ask(ALL, units(input_tokens=600), reserve=True).holds, ALL, strict=True):
        it.settle(one.limit, hold, {})

    assert [1, 600, 0] == used(it)


def test_tokens_of_all_kinds_end_as_their_sum() -> None:
    tokens = Applied(quota(5, "tokens", 1_000), NOBODY)
    it = ledger()
    (hold,) = it.ask([tokens], units(input_tokens=600), reserve=True).holds

    it.settle(tokens.limit, hold, units(input_tokens=100, output_tokens=50))

    assert 150 * ONE == it.standing(tokens.limit, NOBODY).used


def test_what_is_released_is_as_if_it_had_not_been_asked_for() -> None:
    it = ledger()
    for hold, one in zip(it.ask(ALL, units(input_tokens=600, usd=1), reserve=True).holds, ALL, strict=True):
        it.settle(one.limit, hold, None)

    assert [0, 0, 0] == used(it)


def test_what_was_given_back_and_used_after_all_counts_when_it_is_told() -> None:
    it = ledger()
    for hold, one in zip(it.ask(ALL, units(input_tokens=600), reserve=True).holds, ALL, strict=True):
        it.settle(one.limit, hold, None)
        it.count_late(one.limit, hold, units(input_tokens=30))

    assert [1, 30, 0] == used(it)


def test_time_goes_on_and_what_was_read_is_looked_at_anew() -> None:
    it = ledger()
    it.count(ALL, units(requests=2, usd=1), at_us=NOW)
    it.now_us += 2 * HOUR_US

    assert [0, 0, 1] == used(it)


def test_what_is_written_is_read_again() -> None:
    it = ledger()
    it.count(ALL, units(requests=2, input_tokens=7), at_us=NOW)
    texts = {key: counter.written() for key, (_, counter) in it.changed.items()}

    assert [2, 7, 0] == used(Ledger(windows, NOW, texts))
    it.forget(ALL[0].key)
    assert [0, 7, 0] == used(it)


def test_percent_is_cut_and_approaching_is_from_the_limits_own_share_on() -> None:
    it = ledger()
    it.count([ALL[1]], units(input_tokens=799), at_us=NOW)
    before = it.standing(TOKENS, NOBODY)
    it.count([ALL[1]], units(input_tokens=1), at_us=NOW)
    after = it.standing(TOKENS, NOBODY)

    assert (79, False, 80, True) == (before.percent, before.approaching, after.percent, after.approaching)
    nothing = it.standing(quota(9, "images", 0), NOBODY)
    assert (100, True) == (nothing.percent, nothing.approaching)


def test_what_is_known_to_be_used_takes_the_place_of_what_was_counted() -> None:
    it = ledger()
    it.count(ALL, units(usd=1), at_us=NOW)
    it.set_used(COST, NOBODY, 40 * ONE)

    assert 40 == used(it)[2]


# --- calls as their events tell of them


def test_an_event_tells_whose_a_call_was_what_it_used_and_what_its_provider_said() -> None:
    made = made_of(
        "acme",
        '{"cost":"0.25","currency":"USD","key":"k-1","latency_ms":12,"model":"gpt-5","provider":"openai",'
        '"ratelimit.requests.remaining":"9","reservation":"lr_1f","tags":"eu, batch,eu","units.input_tokens":1200,'
        '"units.gb":"0.5","user":"ann"}',
    )

    assert ("openai", "gpt-5", "k-1", "acme", "ann", ("batch", "eu")) == tuple(made.call)
    assert {"requests": ONE, "input_tokens": 1200 * ONE, "gb": ONE // 2, "cost:USD": ONE // 4} == made.units
    assert ("lr_1f", {"requests.remaining": "9"}) == (made.reservation, made.told)


def test_what_is_not_as_it_should_be_is_not_counted_and_stops_nobody() -> None:
    made = made_of(
        "acme",
        '{"cost":"-1","currency":"USD","model":7.5,"provider":{"a":1},"tags":"[1,","units.a":-1,"units.b":"x",'
        '"units.c":null,"ratelimit.x":true}',
    )

    assert ("", "7.5", "", "acme", "", ()) == tuple(made.call)
    assert ({"requests": ONE}, {}) == (made.units, made.told)


def test_tags_may_be_a_list_or_the_text_of_one() -> None:
    assert ("a", "b") == made_of("c", '{"tags":["b","a",true]}').call.tags
    assert ("a", "b") == made_of("c", '{"tags":"[\\"b\\",\\"a\\"]"}').call.tags
    assert () == made_of("c", '{"tags":true}').call.tags


def test_cost_without_its_currency_is_none_and_at_most_twenty_things_are_told() -> None:
    told = ",".join(f'"ratelimit.{n}":"1"' for n in range(30))
    made = made_of("c", f'{{"cost":"1",{told}}}')

    assert ({"requests": ONE}, 20) == (made.units, len(made.told))
    assert ONE // 10**18 + 1 == made_of("c", '{"cost":"0.0000000000000000011","currency":"USD"}').units["cost:USD"]


def test_what_was_settled_untold_is_told_later_and_counts_what_it_was_more() -> None:
    it = ledger()
    (hold,) = [one for one in it.ask(ALL, units(requests=1), reserve=True).holds if one.unit == COST.unit]
    it.settle(COST, hold, units(requests=1))

    it.tell(COST, hold, 0, at_us=NOW)
    assert [1, 0, 0] == used(it)
    it.tell(COST, hold, ONE, at_us=NOW)
    assert [1, 0, 1] == used(it)
