"""Prices are kept, change from an instant on, and what that does to calls is foreseen on the calls themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.audit.record import Actor
from heartfly.calls.figures import figures
from heartfly.core.money import money_text, rate
from heartfly.core.price_given import price_given
from heartfly.core.price_shelf import Add, Change, End, Remove, Reprice
from heartfly.core.prices import ALWAYS, Price
from heartfly.db.models import dirty_hours, prices, usage_audit, windows
from heartfly.db.types import EPOCH
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage import price_imports
from heartfly.usage.price_imports import Imported, import_prices, read_file
from heartfly.usage.price_preview import PricesForeseen, foresee_change, foresee_import
from heartfly.usage.price_queries import (
    Filter,
    Kept,
    count_prices,
    edge_of,
    example_of,
    list_prices,
    one_price,
    versions_of,
)
from heartfly.usage.price_reading import book_of, book_version, read_book
from heartfly.usage.prices import change_prices
from tests.usage.factory import HOUR, NOW, PID, Plant

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
OTHER = PID + 1


def a_price(amount: str = "0.000002", unit: str = "input_tokens", **more: Any) -> Price:
    given: dict[str, Any] = {"provider": "OpenAI", "product": "gpt", "currency": "USD"} | more
    return price_given(amount=amount, unit=unit, **given)


async def change(plant: Plant, what: Change, pid: int = PID) -> int:
    return await plant.usage.write(
        lambda tx: change_prices(tx, pid, what, actor=Actor("test"), at=plant.clock.now(), ids=plant.ids)
    )


async def told(plant: Plant, which: Filter | None = None, pid: int = PID) -> list[tuple[str, int, int | None]]:
    """Amounts with the days from NOW; -1: always."""
    async with plant.usage.read() as read:
        found = await list_prices(read, pid, which or Filter(), after=None, limit=100)

    def day(at: datetime | None) -> int | None:
        return None if at is None else -1 if at == ALWAYS else (at - NOW) // DAY

    return [(str(one.price.amount), day(one.price.from_at) or 0, day(one.price.to_at)) for one in found]


def of(text: str) -> str:
    return str(rate(text))


async def call(plant: Plant, number: int, at: datetime, pid: int = PID, **properties: str) -> None:
    told: Mapping[str, str] = {"provider": "openai", "model": "gpt"} | properties
    event = {
        "transaction_id": f"{pid}-{number}",
        "customer_id": "acme",
        "timestamp": at.isoformat(),
        "event_type": "api.call",
        "properties": {name.replace("units_", "units."): value for name, value in told.items()},
    }
    await plant.ingest.take(pid, [event], wire="native")


def sums(found: PricesForeseen) -> tuple[dict[str, str], dict[str, str]]:
    before, after = (
        {currency: money_text(value) for currency, value in one.items()} for one in (found.before, found.after)
    )
    return before, after


async def test_a_price_changes_from_an_instant_on_and_history_keeps_its_own(plant: Plant) -> None:
    first = await change(plant, Add(a_price("2")))
    second = await change(plant, Reprice(first, amount=rate("3"), from_at=NOW + DAY))
    assert [(of("2"), -1, 1), (of("3"), 1, None)] == await told(plant)
    await change(plant, End(second, NOW + 3 * DAY))
    assert [(of("2"), -1, 1), (of("3"), 1, 3)] == await told(plant)
    await change(plant, Remove(first))
    assert [(of("3"), 1, 3)] == await told(plant)

    async with plant.usage.read() as read:
        entries: list[Any] = list((await read.execute(sa.select(usage_audit).order_by(usage_audit.c.id))).all())
        book = await read_book(read, PID)
    assert ["price.create", "price.edit", "price.end", "price.delete"] == [one.action for one in entries]
    assert ("3", "2") == (entries[1].after["amount"], entries[1].before["amount"])
    assert {} == book.cost("openai", "gpt", "", {"input_tokens": 1}, NOW).amounts
    assert {"USD"} == set(book.cost("openai", "gpt", "", {"input_tokens": 1}, NOW + DAY).amounts)


async def test_two_prices_of_a_kind_never_hold_at_once(plant: Plant) -> None:
    await change(plant, Add(a_price("2", from_at=NOW)))
    for wanted, field in (
        (a_price("2", from_at=NOW + DAY), "from_at"),
        (a_price("3"), "to_at"),
        (a_price("3", provider="openai", currency="EUR", from_at=NOW), "from_at"),
    ):
        with pytest.raises(InvalidValueError) as refused:
            await change(plant, Add(wanted))
        assert field == refused.value.field
    await change(plant, Add(a_price("1", to_at=NOW)))
    await change(plant, Add(a_price("1", tier="batch", from_at=NOW)))
    await change(plant, Add(a_price("2", from_at=NOW)), pid=OTHER)

    assert 3 == len(await told(plant))
    assert 1 == len(await told(plant, pid=OTHER))


async def test_prices_of_another_project_are_not_there(plant: Plant) -> None:
    number = await change(plant, Add(a_price()), pid=OTHER)

    for what in (Remove(number), End(number, NOW), Reprice(number, amount=1, from_at=NOW)):
        with pytest.raises(NotFoundError):
            await change(plant, what)
        with pytest.raises(NotFoundError):
            foresee_change(plant.usage.place, PID, what, NOW)
    async with plant.usage.read() as read:
        with pytest.raises(NotFoundError):
            await one_price(read, PID, number)
        assert 0 == await count_prices(read, PID, Filter())
        book = await read_book(read, PID)
    assert ("input_tokens",) == book.cost("openai", "gpt", "", {"input_tokens": 1}, NOW).unpriced


async def test_a_list_is_filtered_and_has_pages(plant: Plant) -> None:
    for unit in ("input_tokens", "output_tokens"):
        number = await change(plant, Add(a_price("1", unit)))
        await change(plant, Reprice(number, amount=2, from_at=NOW))
    await change(plant, Add(a_price("5", "pages", provider="apify", product="")))

    assert 2 == len(await told(plant, Filter(unit="input_tokens")))
    assert 4 == len(await told(plant, Filter(provider="OPENAI")))
    assert 3 == len(await told(plant, Filter(at=NOW)))
    assert 1 == len(await told(plant, Filter(product="*")))
    assert 0 == len(await told(plant, Filter(tier="batch")))
    found: list[Kept] = []
    after = None
    async with plant.usage.read() as read:
        while page := await list_prices(read, PID, Filter(), after=after, limit=2):
            found += page
            after = edge_of(page[-1])
        assert [1, 2] == [len(await versions_of(read, PID, one.price)) for one in (found[0], found[1])]
    assert 5 == len({one.held.id for one in found})
    assert "apify" == found[0].price.provider


async def test_a_change_is_foreseen_on_the_calls_of_its_span(plant: Plant) -> None:
    at = NOW - 5 * HOUR
    await call(plant, 1, at, units_input_tokens="1000")
    await call(plant, 2, at + HOUR, units_input_tokens="3000", units_output_tokens="10")
    await call(plant, 3, at + HOUR, units_input_tokens="7", cost="4.2", currency="USD")
    await call(plant, 4, at + HOUR, model="other", units_input_tokens="7")
    await call(plant, 5, at + HOUR, pid=OTHER, units_input_tokens="7")
    await call(plant, 6, at + HOUR, status="429")

    added = foresee_change(plant.usage.place, PID, Add(a_price("0.000002")), NOW)
    assert (4, 1, 1, 1, 0, 1) == (
        *(added.n_calls, added.n_given, added.n_changed),
        *(added.n_priced, added.n_unpriced, added.n_unknown),
    )
    assert ({}, {"USD": "0.002"}) == sums(added)
    assert [] == await told(plant)

    number = await change(plant, Add(a_price("0.000002")))
    await change(plant, Add(a_price("0.01", "output_tokens")))
    dearer = foresee_change(plant.usage.place, PID, Reprice(number, amount=rate("0.000003"), from_at=at + HOUR), NOW)
    assert ({"USD": "0.106"}, {"USD": "0.109"}) == sums(dearer)
    assert (at + HOUR, None, 3, 1) == (dearer.from_at, dearer.to_at, dearer.n_calls, dearer.n_changed)
    gone = foresee_change(plant.usage.place, PID, Remove(number), NOW)
    assert (2, 0, {}) == (gone.n_unpriced, gone.n_priced, sums(gone)[1])
    assert not foresee_change(plant.usage.place, PID, End(number, None), NOW).n_calls


async def test_what_is_foreseen_is_what_the_fold_comes_to_however_odd_a_call_is(plant: Plant) -> None:
    """Calls are read by one code, and so no oddity of theirs is one thing before a change and another after it."""
    at = NOW - 5 * HOUR
    odd: list[dict[str, str]] = [
        {"cost": "4.2"},  # without a currency it is none
        {"cost": "much", "currency": "USD"},
        {"provider": " OpenAI ", "model": " gpt "},
        {"units_input_tokens": "-5"},
        {"units_Pages!": "5"},
        {"error": "false", "status": "200"},
        {"tier": "default"},
        {"units": "none"},
        {"cost": "0.5", "currency": " usd "},
    ]
    for number, told_by in enumerate(odd):
        properties: dict[str, Any] = {"units_input_tokens": f"{number + 1}000"} | told_by
        await call(plant, number, at, **properties)
    await change(plant, Add(a_price("0", "requests")))
    await change(plant, Add(a_price("0.000002")))
    then = a_price("0.000003", from_at=at - HOUR)
    foreseen = foresee_change(plant.usage.place, PID, Add(replace(then, unit="pages")), NOW)
    await plant.fold()

    async with plant.usage.read() as read:
        (line,) = await figures(read, PID, at - HOUR, NOW, by=())
    by_the_fold = {currency: money_text(value) for currency, value in line.figures.priced.items()}

    assert (by_the_fold, by_the_fold) == sums(foreseen)
    assert (len(odd), 1, 0) == (foreseen.n_calls, foreseen.n_given, foreseen.n_changed)
    assert line.n_unpriced == foreseen.n_unknown


async def test_what_is_sealed_is_not_foreseen_to_change(plant: Plant) -> None:
    at = NOW - 5 * HOUR
    for number in range(2):
        await call(plant, number, at + number * HOUR, units_input_tokens="1000")
    await plant.fold()
    of_first = (windows.c.pid == PID, windows.c.tier == "hour", windows.c.start_at == at - (at - EPOCH) % HOUR)
    await plant.usage.write(lambda tx: tx.conn.execute(sa.update(windows).where(*of_first).values(sealed_at=NOW)))

    foreseen = foresee_change(plant.usage.place, PID, Add(a_price("0.000002")), NOW)

    assert (1, 1, {"USD": "0.002"}) == (foreseen.n_calls, foreseen.n_changed, sums(foreseen)[1])


async def test_the_hours_of_its_span_are_folded_anew_and_no_others(plant: Plant) -> None:
    early, late = NOW - 30 * HOUR, NOW - 5 * HOUR
    await call(plant, 1, early)
    await call(plant, 2, late)
    await plant.fold()

    async def dirty() -> list[datetime]:
        async with plant.usage.read() as read:
            return list((await read.execute(sa.select(dirty_hours.c.hour))).scalars())

    assert [] == await dirty()
    number = await change(plant, Add(a_price(from_at=NOW - 6 * HOUR)))
    assert [late.replace(minute=0)] == await dirty()
    await plant.fold()
    await change(plant, End(number, NOW - HOUR))
    assert [] == await dirty()
    await change(plant, Add(a_price(to_at=NOW - 20 * HOUR)))
    assert [early.replace(minute=0)] == await dirty()


async def test_a_books_version_is_another_after_each_change(plant: Plant) -> None:
    async def version() -> str:
        async with plant.usage.read() as read:
            one = await read.run_sync(lambda connection: book_version(connection, PID))
            assert one == (await read.run_sync(lambda connection: book_of(connection, PID))).version
            return one

    seen = [await version()]
    number = await change(plant, Add(a_price()))
    seen.append(await version())
    await change(plant, End(number, NOW))
    seen.append(await version())
    await change(plant, End(number, NOW))
    assert seen[-1] == await version()
    assert (3, "0") == (len(set(seen)), seen[0])


CSV = b"""provider,product,unit,tier,condition,from,to,amount,currency
openai,gpt,input_tokens,,,,,2E-06,usd
openai,gpt,input_tokens,batch,,,,0.000001,USD
maps,,requests,,,2026-01-01,2026-02-01,0.005,EUR
maps,,requests,,,2026-02-01,,0.006,EUR
openai,gpt,input tokens,,,,,1,USD
openai,gpt,pages,,,soon,,1,USD
openai,gpt,pages,,,,,one,USD
"""


async def lay(
    plant: Plant, raw: bytes, *, kind: str = "csv", from_at: datetime = NOW, over_hand: bool = False
) -> Imported:
    file = read_file(raw, kind, from_at=from_at)
    return await import_prices(
        plant.usage, PID, file, over_hand=over_hand, actor=Actor("test"), at=plant.clock.now(), ids=plant.ids
    )


@pytest.mark.parametrize("piece", [1, price_imports.PIECE])
async def test_a_table_is_read_in_once_however_often(plant: Plant, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(price_imports, "PIECE", piece)
    foreseen = foresee_import(plant.usage.place, PID, CSV, "csv", from_at=NOW, over_hand=False)
    assert (7, 4, 4) == (foreseen.file.n_entries, foreseen.imported.n_new, foreseen.calls.n_prices)
    assert ["line 6", "line 7", "line 8"] == [one.where for one in foreseen.file.unmapped]
    assert ["unit", "from", "amount"] == [one.reason.partition(":")[0] for one in foreseen.file.unmapped]
    assert [] == await told(plant)

    first = await lay(plant, CSV)
    assert (4, 0, 0) == (first.n_new, first.n_changed, first.n_same)
    again = await lay(plant, CSV, from_at=NOW + DAY)
    assert (0, 0, 4, False) == (again.n_new, again.n_changed, again.n_same, bool(again.plan))
    dearer = await lay(plant, CSV.replace(b"2E-06", b"3E-06"), from_at=NOW + DAY)
    assert (0, 1, 3) == (dearer.n_new, dearer.n_changed, dearer.n_same)
    assert [(of("0.000002"), 0, 1), (of("0.000003"), 1, None)] == await told(
        plant, Filter(unit="input_tokens", tier="")
    )
    async with plant.usage.read() as read:
        actions = (await read.execute(sa.select(usage_audit.c.action))).scalars().all()
    assert ["price.import"] * (4 if piece == 1 else 2) == list(actions)


async def test_what_was_set_by_hand_stays_and_what_is_missing_is_told(plant: Plant) -> None:
    await change(plant, Add(a_price("0.5")))
    first = await lay(plant, CSV)
    assert (3, [of("0.5")]) == (first.n_new, [str(one.price.amount) for one in first.kept])

    shorter = b"\n".join(CSV.splitlines()[:2])
    missing = await lay(plant, shorter, from_at=NOW + DAY)
    assert (1, {"batch", ""}) == (len(missing.kept), {one.price.tier for one in missing.missing})
    over = await lay(plant, shorter, from_at=NOW + DAY, over_hand=True)
    assert (1, []) == (over.n_changed, over.kept)


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        (b"\xff", "csv", "UTF-8"),
        (b"", "csv", "no column provider"),
        (b"provider,unit,amount,currency,colour\n", "csv", "colour"),
        (b"provider,unit,amount,currency\na,b,1\n", "csv", "line 2"),
        (b"{", "litellm", "JSON"),
        (b"[1]", "litellm", "list of prices"),
        (b'{"a": 1}', "litellm", "list of prices"),
        (b'{"a": {"mode": "chat"}}', "litellm", "names no provider"),
        (b"[" * 100_000, "litellm", "JSON"),
    ],
)
async def test_a_file_that_is_none_is_refused(plant: Plant, raw: bytes, kind: str, words: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        await lay(plant, raw, kind=kind)

    assert ("file", True) == (refused.value.field, words in refused.value.message)


async def test_there_is_an_end_to_how_many_prices_a_project_has(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.usage.prices.MOST_PRICES", 1)
    await change(plant, Add(a_price()))

    with pytest.raises(ConflictError):
        await change(plant, Add(a_price(unit="pages")))
    async with plant.usage.read() as read:
        assert 1 == (await read.execute(sa.select(sa.func.count()).select_from(prices))).scalar_one()


async def test_a_first_price_can_be_of_a_call_that_came(plant: Plant) -> None:
    async with plant.usage.read() as read:
        assert None is await example_of(read, PID)
    await call(plant, 1, NOW - HOUR, units_pages="2")
    async with plant.usage.read() as read:
        found = await example_of(read, PID)

    assert found is not None
    assert ("openai", "gpt", "pages") == (found.provider, found.product, found.unit)
