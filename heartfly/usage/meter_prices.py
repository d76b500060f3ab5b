"""What people do to prices of meters: set one for a group from an hour on, end it, delete it; and which there are.

Each command is one transaction's work, with its entry in the audit. Nothing is folded anew: costs of meters are worked
out of their rollups when somebody asks (meter_costs.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from heartfly.audit.record import Action, Actor
from heartfly.core.definitions import meter_from
from heartfly.core.events import wrong_text
from heartfly.core.meter_prices import ADDITIVE, MeterPrice
from heartfly.core.meters import MAX_GROUP_LENGTH
from heartfly.core.money import Rate, rate_text
from heartfly.core.prices import ALWAYS
from heartfly.core.windows import HOUR
from heartfly.db.changes import Tx
from heartfly.db.ids import IdSource
from heartfly.db.models import meter_prices, meter_versions
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.usage.audit import note
from heartfly.usage.meter_queries import found_one, one_of
from heartfly.usage.prices import Source, demand_time

MOST_PRICES = 1_000
"""Of one meter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`from_at` None: since ever. `only`: by group key; None: for figures without it."""

    only: Mapping[str, str | None]
    amount: Rate
    currency: str
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeptPrice:
    """A price of a meter, with when it was written."""

    price: MeterPrice
    created_at: datetime


def create_meter_price(
    tx: Tx, pid: int, name_or_id: str, wanted: Wanted, *, actor: Actor, at: datetime, ids: IdSource
) -> int:
    """Its id. InvalidValueError: another one of its group holds at that time, or the meter cannot have it."""
    from_at = ALWAYS if wanted.from_at is None else wanted.from_at
    _demand_hour("from_at", wanted.from_at)
    _demand_hour("to_at", wanted.to_at)
    if wanted.to_at is not None and wanted.to_at <= from_at:
        raise InvalidValueError("to_at", "must be after from_at")
    query = one_of(pid, name_or_id)
    meter = found_one(tx.conn.execute(query.with_for_update() if tx.on_postgres else query).first())
    _demand_fit(tx, pid, meter.id, wanted.only)
    text = _text(wanted.only)
    others = tx.conn.execute(_of_meters(pid, [meter.id])).all()
    if len(others) >= MOST_PRICES:
        raise ConflictError(f"the meter has {MOST_PRICES} prices, which is all that it may have")
    for other in others:
        begins_before_its_end = other.to_at is None or from_at < other.to_at
        if other.only == text and begins_before_its_end and (wanted.to_at is None or other.from_at < wanted.to_at):
            field = "from_at" if other.from_at <= from_at else "to_at"
            raise InvalidValueError(field, "overlaps a price of the same group; end that one first")
    number = ids.next(at)
    told = {"from_at": from_at, "to_at": wanted.to_at, "amount": wanted.amount, "currency": wanted.currency}
    named = {"pid": pid, "id": number, "meter_id": meter.id, "only": text, "only_hash": _hash(text)}
    tx.conn.execute(sa.insert(meter_prices).values(named | told | {"source": Source.HAND.value, "created_at": at}))
    facts = {"meter": meter.slug, "only": dict(wanted.only), "from_at": wanted.from_at, "to_at": wanted.to_at}
    facts |= {"amount": rate_text(wanted.amount), "currency": wanted.currency}
    note(
        tx, pid, actor=actor, action=Action.METER_PRICE_CREATE, of=f"meter_price:{number}",
        before=None, after=facts, at=at, ids=ids,
    )  # fmt: skip
    return number


def end_meter_price(
    tx: Tx, pid: int, name_or_id: str, number: int, to_at: datetime | None, *, actor: Actor, at: datetime, ids: IdSource
) -> None:
    """None: until further notice. InvalidValueError: it would reach into the next one."""
    _demand_hour("to_at", to_at)
    row = _held(tx, pid, name_or_id, number)
    if to_at is not None and to_at <= row.from_at:
        raise InvalidValueError("to_at", "must be after from_at")
    later = [
        one.from_at
        for one in tx.conn.execute(_of_meters(pid, [row.meter_id]))
        if one.only == row.only and one.from_at > row.from_at
    ]
    if later and (to_at is None or to_at > min(later)):
        raise InvalidValueError("to_at", "reaches into the next price of the same group")
    if to_at == row.to_at:
        return
    this = sa.and_(meter_prices.c.pid == pid, meter_prices.c.id == row.id)
    tx.conn.execute(sa.update(meter_prices).where(this).values(to_at=to_at))
    note(
        tx, pid, actor=actor, action=Action.METER_PRICE_END, of=f"meter_price:{number}",
        before={"to_at": row.to_at}, after={"to_at": to_at}, at=at, ids=ids,
    )  # fmt: skip


def delete_meter_price(
    tx: Tx, pid: int, name_or_id: str, number: int, *, actor: Actor, at: datetime, ids: IdSource
) -> None:
    """As if it had never been."""
    row = _held(tx, pid, name_or_id, number)
    tx.conn.execute(sa.delete(meter_prices).where(meter_prices.c.pid == pid, meter_prices.c.id == row.id))
    before = {"only": json.loads(row.only), "amount": rate_text(row.amount), "currency": row.currency}
    note(
        tx, pid, actor=actor, action=Action.METER_PRICE_DELETE, of=f"meter_price:{number}",
        before=before, after=None, at=at, ids=ids,
    )  # fmt: skip


async def prices_of_meters(
    read: AsyncConnection, pid: int, meter_ids: Sequence[int]
) -> Mapping[int, Sequence[KeptPrice]]:
    """By meter, in the order of their groups and times."""
    found: dict[int, list[KeptPrice]] = {number: [] for number in meter_ids}
    for row in await read.execute(_of_meters(pid, meter_ids)):
        found[row.meter_id].append(_kept(row))
    return found


def _held(tx: Tx, pid: int, name_or_id: str, number: int) -> Any:
    query = one_of(pid, name_or_id)
    meter = found_one(tx.conn.execute(query.with_for_update() if tx.on_postgres else query).first())
    p = meter_prices.c
    row = tx.conn.execute(sa.select(meter_prices).where(p.pid == pid, p.meter_id == meter.id, p.id == number)).first()
    if row is None:
        raise NotFoundError("the meter has no such price")
    return row


def _demand_fit(tx: Tx, pid: int, meter_id: int, only: Mapping[str, str | None]) -> None:
    query = sa.select(meter_versions.c.definition).where(
        meter_versions.c.pid == pid, meter_versions.c.meter_id == meter_id
    )
    versions = [meter_from(row.definition) for row in tx.conn.execute(query)]
    if any(version.aggregation not in ADDITIVE for version in versions):
        raise InvalidValueError("meter", "must be one that counts or sums up: what others come to does not add up")
    known = {key for version in versions for key in version.group_keys}
    for name, value in only.items():
        if name not in known:
            told = f"known are {', '.join(sorted(known))}" if known else "it has none"
            raise InvalidValueError("only", f"the meter has no group key {name[:100]}; {told}")
        if value is not None and (len(value) > MAX_GROUP_LENGTH or wrong_text(value) is not None):
            raise InvalidValueError(f"only.{name}", f"must be a text of up to {MAX_GROUP_LENGTH} characters")


def _demand_hour(field: str, at: datetime | None) -> None:
    demand_time(field, at)
    if at is not None and (at - ALWAYS) % HOUR:
        raise InvalidValueError(field, "must be the beginning of an hour of UTC, so that rollups tell what it is of")


def _of_meters(pid: int, meter_ids: Sequence[int]) -> sa.Select[Any]:
    p = meter_prices.c
    return (
        sa.select(meter_prices).where(p.pid == pid, p.meter_id.in_(meter_ids)).order_by(p.meter_id, p.only, p.from_at)
    )


def _kept(row: Any) -> KeptPrice:
    return KeptPrice(
        MeterPrice(
            id=row.id,
            only=json.loads(row.only),
            from_at=row.from_at,
            to_at=row.to_at,
            amount=row.amount,
            currency=row.currency,
        ),
        row.created_at,
    )


def _text(only: Mapping[str, str | None]) -> str:
    return json.dumps(only, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
