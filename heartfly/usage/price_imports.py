"""Prices that come in a file: what it would change, and the change itself, as one transaction.

A row that says what holds already changes nothing, so a file can be read in again and again. What a person has set
stays as it is, unless he says otherwise; what the file does not have any more is told, and goes on holding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from heartfly.audit.record import Action, Actor
from heartfly.core.litellm_prices import Unmapped, price_list
from heartfly.core.price_csv import price_table
from heartfly.core.price_shelf import Held, Plan, Shelf
from heartfly.core.prices import ALWAYS, Price
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import prices
from heartfly.errors import InvalidValueError
from heartfly.usage.audit import note
from heartfly.usage.prices import Source, demand_time, held_of, hold_prices, write

MOST_BYTES = 16 * 1024 * 1024
"""Of a file. LiteLLM's has 3.5 million."""
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
    named = {price.key for price in file.prices}
    found.missing = [
        one for one in held if one.source == file.source and one.price.key not in named and one.price.at(file.from_at)
    ]
    found.plan = shelf.plan()
    return found


def import_prices(
    tx: Tx, pid: int, file: PriceFile, *, over_hand: bool, actor: Actor, at: datetime, ids: IdSource
) -> Imported:
    """ConflictError: there would be too many prices; InvalidValueError: a time in it is none that calls have."""
    demand_file(file)
    hold_prices(tx, pid)
    held = [held_of(row) for row in tx.conn.execute(sa.select(prices).where(prices.c.pid == pid))]
    found = lay_file(Shelf(held), held, file, over_hand=over_hand)
    write(tx, pid, found.plan, at=at, ids=ids)
    if found.plan:
        told: dict[str, Any] = {
            "source": file.source.value,
            "from_at": None if file.from_at <= ALWAYS else file.from_at,
        }
        told |= {"entries": file.n_entries, "new": found.n_new, "changed": found.n_changed}
        note(
            tx, pid, actor=actor, action=Action.PRICE_IMPORT, of="prices",
            before=None, after=told, at=at, ids=ids,
        )  # fmt: skip
    return found


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
