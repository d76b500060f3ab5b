"""Prices that come in a file: what it would change, and the change itself, in pieces that each are one transaction.

A row that says what holds already changes nothing, so a file can be read in again and again. What a person has set
stays as it is, unless he says otherwise; what the file does not have any more is told, and goes on holding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor
from heartfly.core.litellm_prices import Unmapped, price_list
from heartfly.core.price_csv import price_table
from heartfly.core.price_shelf import Held, Plan, Shelf
from heartfly.core.prices import ALWAYS, Price
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.group_commit import Priority
from heartfly.db.ids import IdSource
from heartfly.db.models import prices
from heartfly.errors import InvalidValueError
from heartfly.usage.audit import note
from heartfly.usage.prices import Source, demand_time, facts, held_of, hold_prices, write

MOST_BYTES = 16 * 1024 * 1024
"""Of a file. LiteLLM's has 3.5 million."""
PIECE = 1_000
"""Prices that are written in one transaction."""
MOST_TOLD = 5_000
"""Entries of each kind that are told one by one."""


@dataclass(frozen=True, slots=True)
class Told:
    """A line of a file, or an entry and its key: why it is no price of ours."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What a file says. `n_entries`: models, or rows. `prices`: without a time of their own from `from_at` on."""

    source: Source
    from_at: datetime
    n_entries: int
    prices: Sequence[Price]
    unmapped: Sequence[Told]


@dataclass(slots=True)
class Imported:
    """`kept`: set by hand, and left alone. `missing`: of the same source, in force, and not in the file."""

    n_new: int = 0
    n_changed: int = 0
    n_same: int = 0
    kept: list[Held] = field(default_factory=list)
    missing: list[Held] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)


def read_file(raw: bytes, kind: str, *, from_at: datetime) -> PriceFile:
    """InvalidValueError. `kind`: litellm or csv."""
    if kind == Source.LITELLM:
        found = price_list(raw)
        told = [Told(_where(one), one.reason) for one in found.unmapped]
        return PriceFile(Source.LITELLM, from_at, found.n_entries, _from(found.prices, from_at), told)
    table = price_table(raw, from_at=from_at)
    wrong = [Told(f"line {line}", reason) for line, reason in table.wrong]
    return PriceFile(Source.CSV, from_at, table.n_rows, table.prices, wrong)


def lay_file(shelf: Shelf, held: Sequence[Held], file: PriceFile, *, over_hand: bool) -> Imported:
    """What it makes of the prices; `held` are all of the project."""
    found = Imported()
    for price in file.prices:
        wanted = shelf.until_next(price)
        now = shelf.in_force(wanted.key, wanted.from_at)
        by_hand = next((one for one in shelf.in_span(wanted) if one.source == Source.HAND), None)
        is_same = now is not None and (now.price.amount, now.price.currency) == (wanted.amount, wanted.currency)
        if is_same and price.to_at is None:
            found.n_same += 1
        elif by_hand is not None and not over_hand:
            found.kept.append(by_hand)
        elif not shelf.lay(wanted, file.source):
            found.n_same += 1
        elif now is None:
            found.n_new += 1
        else:
            found.n_changed += 1
    found.missing = _missing(held, file)
    found.plan = shelf.plan()
    return found


async def import_prices(
    usage: Database, pid: int, file: PriceFile, *, over_hand: bool, actor: Actor, at: datetime, ids: IdSource
) -> Imported:
    """In pieces, behind everybody else's writing: a long list must hold up no event. All prices of one key are in one.

    What a crash leaves out comes in when the file is read in again. InvalidValueError: a time in it is none that calls
    have; ConflictError: there would be too many prices, of which those before are in.
    """
    demand_file(file)
    whole, wrote = Imported(), list[Plan]()
    for some in await asyncio.to_thread(lambda: list(_pieces(file.prices))):
        piece = partial(_lay_piece, pid=pid, file=replace(file, prices=some), over_hand=over_hand)
        found = await usage.write(partial(piece, actor=actor, at=at, ids=ids), priority=Priority.BULK)
        whole.n_new += found.n_new
        whole.n_changed += found.n_changed
        whole.n_same += found.n_same
        whole.kept += found.kept
        wrote.append(found.plan)
    whole.plan = Plan(
        [one for plan in wrote for one in plan.added],
        [one for plan in wrote for one in plan.changed],
        [one for plan in wrote for one in plan.gone],
        [one for plan in wrote for one in plan.touched],
    )
    whole.missing = await _not_in(usage, pid, file)
    return whole


async def _not_in(usage: Database, pid: int, file: PriceFile) -> list[Held]:
    """As `_missing`. Of the many that are in the file their keys alone are read: this is the event loop's work."""
    p = prices.c
    in_force = (p.from_at <= file.from_at, sa.or_(p.to_at.is_(None), p.to_at > file.from_at))
    keys = sa.select(p.id, p.provider, p.product, p.unit, p.tier, p.condition).where(
        p.pid == pid, p.source == file.source.value, *in_force
    )
    named = {price.key for price in file.prices}
    found: list[Held] = []
    async with usage.read() as read:
        numbers = [row[0] for row in await read.execute(keys) if tuple(row[1:]) not in named]
        for start in range(0, len(numbers), PIECE):
            some = sa.select(prices).where(p.pid == pid, p.id.in_(numbers[start : start + PIECE]))
            found += [held_of(row) for row in await read.execute(some)]
    return found


def _lay_piece(
    tx: Tx, *, pid: int, file: PriceFile, over_hand: bool, actor: Actor, at: datetime, ids: IdSource
) -> Imported:
    hold_prices(tx, pid)
    named = {price.provider for price in file.prices}, {price.product for price in file.prices}
    query = sa.select(prices).where(
        prices.c.pid == pid, prices.c.provider.in_(named[0]), prices.c.product.in_(named[1])
    )
    held = [held_of(row) for row in tx.conn.execute(query)]
    found = lay_file(Shelf(held), held, file, over_hand=over_hand)
    write(tx, pid, found.plan, at=at, ids=ids)
    if found.plan:
        told: dict[str, Any] = {
            "source": file.source.value,
            "from_at": None if file.from_at <= ALWAYS else file.from_at,
            "new": found.n_new,
            "changed": found.n_changed,
            "first": facts(file.prices[0]),
            "last": facts(file.prices[-1]),
        }
        note(
            tx, pid, actor=actor, action=Action.PRICE_IMPORT, of="prices",
            before=None, after=told, at=at, ids=ids,
        )  # fmt: skip
    return found


def _pieces(found: Sequence[Price]) -> Iterator[Sequence[Price]]:
    """By key and time; no key is in two."""
    piece: list[Price] = []
    for _, of_key in groupby(sorted(found, key=lambda price: (price.key, price.from_at)), key=lambda price: price.key):
        some = list(of_key)
        if piece and len(piece) + len(some) > PIECE:
            yield piece
            piece = []
        piece += some
    if piece:
        yield piece


def _missing(held: Sequence[Held], file: PriceFile) -> list[Held]:
    named = {price.key for price in file.prices}
    return [
        one for one in held if one.source == file.source and one.price.key not in named and one.price.at(file.from_at)
    ]


def demand_file(file: PriceFile) -> None:
    """InvalidValueError."""
    if not file.prices and file.unmapped:
        raise InvalidValueError("file", f"holds no price; {file.unmapped[0].where}: {file.unmapped[0].reason}")
    demand_time("from", file.from_at)
    for price in file.prices:
        demand_time("from", price.from_at)
        demand_time("to", price.to_at)


def _from(found: Sequence[Price], from_at: datetime) -> Sequence[Price]:
    return [
        Price(
            provider=one.provider, product=one.product, unit=one.unit, tier=one.tier, condition=one.condition,
            from_at=from_at, amount=one.amount, currency=one.currency,
        )
        for one in found
    ]  # fmt: skip


def _where(one: Unmapped) -> str:
    return f"{one.entry}: {one.key}" if one.key else one.entry
