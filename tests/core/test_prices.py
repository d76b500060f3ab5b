"""Which price a call is charged by: its kind, tier, condition, and the instant at which it happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import amount
from heartfly.core.money import money_text, rate
from heartfly.core.prices import EVERY, Book, Cost, Price, condition_of, condition_text

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def priced(unit: str, of_one: str, **more: object) -> Price:
    given: dict[str, object] = {"provider": "openai", "product": "gpt", "currency": "USD"}
    found = rate(of_one)
    assert found is not None
    return Price(unit=unit, amount=found, **(given | more))  # type: ignore[arg-type]


def units(**told: str) -> Mapping[str, int]:
    found = {kind: amount(text) for kind, text in told.items()}
    return {kind: value for kind, value in found.items() if value is not None}


def cost(book: Book, told: Mapping[str, int], *, tier: str = "", at: datetime = AT, product: str = "gpt") -> Cost:
    return book.cost("openai", product, tier, told, at)


def texts(found: Cost) -> dict[str, str]:
    return {currency: money_text(value) for currency, value in found.amounts.items()}


TOKENS = [priced("input_tokens", "0.000002"), priced("output_tokens", "0.000008"), priced("cached_tokens", "0.0000005")]


def test_each_kind_of_unit_has_a_price_of_its_own() -> None:
    found = cost(Book(TOKENS), units(input_tokens="1000", output_tokens="100", cached_tokens="3000", requests="1"))

    assert ({"USD": "0.0043"}, ()) == (texts(found), found.unpriced)


def test_a_price_for_each_request_counts_beside_the_others() -> None:
    book = Book([*TOKENS, priced("requests", "0.005")])

    assert {"USD": "0.007"} == texts(cost(book, units(input_tokens="1000", requests="1")))


def test_an_unknown_price_is_no_price_of_0() -> None:
    assert Cost({}, ("input_tokens", "requests")) == cost(Book(()), units(input_tokens="5", requests="1"))
    assert ("input_tokens", "requests") == Book(TOKENS).cost(
        "other", "gpt", "", units(input_tokens="5", requests="1"), AT
    ).unpriced

    found = cost(Book(TOKENS), units(input_tokens="5", images="2", requests="1"))
    assert (("images",), False, {"USD": "0.00001"}) == (found.unpriced, found.known, texts(found))


def test_a_price_of_0_is_a_price() -> None:
    found = cost(Book([*TOKENS, priced("images", "0")]), units(images="2", requests="1"))

    assert (True, {"USD": "0"}) == (found.known, texts(found))


def test_that_a_call_was_made_is_free_only_beside_what_is_priced() -> None:
    book = Book(TOKENS)

    assert ("requests",) == cost(book, units(requests="1")).unpriced
    assert ("requests",) == cost(book, units(requests="1", input_tokens="0")).unpriced
    assert () == book.cost("openai", "gpt", "", units(requests="1"), AT, failed=True).unpriced
    assert ("images", "requests") == book.cost(
        "openai", "gpt", "", units(images="1", requests="1"), AT, failed=True
    ).unpriced


def test_reasoning_is_charged_as_output_unless_it_has_a_price() -> None:
    assert {"USD": "0.0008"} == texts(cost(Book(TOKENS), units(reasoning_tokens="100")))
    own = Book([*TOKENS, priced("reasoning_tokens", "0.00001")])
    assert {"USD": "0.001"} == texts(cost(own, units(reasoning_tokens="100")))


def test_the_price_in_force_at_the_event_counts_not_todays() -> None:
    book = Book(
        [
            priced("input_tokens", "3", to_at=AT),
            priced("input_tokens", "2", from_at=AT, to_at=AT + DAY),
            priced("input_tokens", "1", from_at=AT + 2 * DAY),
        ]
    )

    def at(instant: datetime) -> dict[str, str]:
        return texts(cost(book, units(input_tokens="1"), at=instant))

    assert {"USD": "3"} == at(AT - timedelta(microseconds=1))
    assert {"USD": "2"} == at(AT)
    assert {"USD": "2"} == at(AT + DAY - timedelta(microseconds=1))
    assert {} == at(AT + DAY)
    assert {"USD": "1"} == at(AT + 9 * DAY)


def test_a_long_context_prices_the_whole_call() -> None:
    long = {"condition": "above_200k_tokens"}
    book = Book([*TOKENS, priced("input_tokens", "0.000004", **long), priced("output_tokens", "0.000012", **long)])

    just = cost(book, units(input_tokens="100000", cached_tokens="100000", output_tokens="900000"))
    over = cost(book, units(input_tokens="100001", cached_tokens="100000", output_tokens="10"))

    assert {"USD": "7.45"} == texts(just)
    assert {"USD": "0.450124"} == texts(over)


@pytest.mark.parametrize(("tokens", "paid"), [("199999", "1"), ("200000", "2"), ("256000", "2"), ("256001", "3")])
def test_the_highest_threshold_that_holds_counts(tokens: str, paid: str) -> None:
    book = Book(
        [
            priced("requests", "3", condition="above_256k_tokens"),
            priced("requests", "1"),
            priced("requests", "2", condition="from_200k_tokens"),
            priced("input_tokens", "0"),
        ]
    )

    assert {"USD": paid} == texts(cost(book, units(input_tokens=tokens, requests="1")))


def test_a_condition_can_be_about_any_kind() -> None:
    book = Book([priced("video_seconds", "1"), priced("video_seconds", "2", condition="above_8_video_seconds")])

    assert {"USD": "8"} == texts(cost(book, units(video_seconds="8")))
    assert {"USD": "16.2"} == texts(cost(book, units(video_seconds="8.1")))


@pytest.mark.parametrize("text", ["", "above", "above_x_tokens", "below_1_tokens", "above_1k", "above_-1_tokens"])
def test_what_is_no_condition_is_none(text: str) -> None:
    assert None is condition_of(text)


def test_a_tier_counts_where_it_has_a_price_and_else_the_standard_one() -> None:
    book = Book([*TOKENS, priced("input_tokens", "0.000001", tier="batch")])

    def of(tier: str) -> Cost:
        return cost(book, units(input_tokens="1000000", output_tokens="1000000"), tier=tier)

    assert [{"USD": "10"}, {"USD": "9"}] == [texts(of("")), texts(of("batch"))]
    assert {"USD": "10"} == texts(of("default"))
    assert ("input_tokens", "output_tokens") == of("warp").unpriced


def test_a_tier_without_the_unconditional_price_takes_the_standard_one() -> None:
    book = Book([*TOKENS, priced("input_tokens", "1", tier="flex", condition="above_200k_tokens")])

    assert {"USD": "2"} == texts(cost(book, units(input_tokens="1000000"), tier=""))
    assert {"USD": "0.2"} == texts(cost(book, units(input_tokens="100000"), tier="flex"))
    assert {"USD": "300000"} == texts(cost(book, units(input_tokens="300000"), tier="flex"))


def test_what_holds_for_every_product_gives_way_to_its_own() -> None:
    book = Book([priced("requests", "0.01", product=EVERY), priced("pages", "1", product=EVERY), priced("pages", "2")])

    assert {"USD": "2.01"} == texts(cost(book, units(pages="1", requests="1")))
    assert {"USD": "1.01"} == texts(cost(book, units(pages="1", requests="1"), product="unheard of"))
    assert {"USD": "1.01"} == texts(cost(book, units(pages="1", requests="1"), product=""))


def test_currencies_are_never_added_together() -> None:
    book = Book([priced("input_tokens", "1"), priced("images", "1", currency="EUR")])

    assert {"USD": "2", "EUR": "3"} == texts(cost(book, units(input_tokens="2", images="3")))


def test_names_that_no_price_has_take_no_memory() -> None:
    book = Book([priced("requests", "1", product=EVERY)])
    sheets = {id(book.sheet("openai", f"m-{n}", "", AT)) for n in range(100)}

    assert 1 == len(sheets)
    assert 1 == len({id(book.sheet("nobody", f"m-{n}", f"t-{n}", AT)) for n in range(100)})


def test_a_sheet_says_how_long_it_holds() -> None:
    book = Book([priced("pages", "1", from_at=AT, to_at=AT + DAY), priced("pages", "2", from_at=AT + DAY)])

    sheet = book.sheet("openai", "gpt", "", AT + DAY / 2)
    assert (AT, AT + DAY) == (sheet.from_at, sheet.to_at)
    assert (AT + DAY, None) == (
        book.sheet("openai", "gpt", "", AT + DAY).from_at,
        book.sheet("openai", "gpt", "", AT + DAY).to_at,
    )


@given(
    st.dictionaries(
        st.sampled_from(["input_tokens", "output_tokens", "cached_tokens"]), st.integers(0, 10**30), min_size=1
    )
)
def test_costs_are_what_decimals_say(told: dict[str, int]) -> None:
    of_one = {"input_tokens": "0.000002", "output_tokens": "0.000008", "cached_tokens": "0.0000005"}
    found = cost(Book(TOKENS), told)

    with localcontext(Context(prec=120)):
        expected = sum((Decimal(n).scaleb(-18) * Decimal(of_one[kind]) for kind, n in told.items()), Decimal(0))
        assert expected == Decimal(money_text(found.amounts.get("USD", 0)))


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("above_200000_tokens", "above_200k_tokens"), ("from_128k_tokens", "from_128k_tokens"),
        ("above_1500_tokens", "above_1500_tokens"), ("above_8_video_seconds", "above_8_video_seconds"),
    ],
)  # fmt: skip
def test_a_condition_has_one_spelling(text: str, spelled: str) -> None:
    condition = condition_of(text)
    assert condition is not None
    assert spelled == condition_text(condition)
