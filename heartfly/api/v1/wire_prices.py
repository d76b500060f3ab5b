"""The shapes of prices, of what a change would make of calls, and of files of prices. Amounts are texts, and exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.core.money import Money, currency_of, money_text, rate_text
from heartfly.core.price_given import amount_of, price_given
from heartfly.core.price_shelf import Add, Change, End, Held, Remove, Reprice
from heartfly.core.prices import ALWAYS, Price
from heartfly.errors import InvalidValueError
from heartfly.usage.price_imports import MOST_TOLD, Imported, PriceFile
from heartfly.usage.price_preview import PricesForeseen
from heartfly.usage.price_queries import Kept, number_of

_Exact = Annotated[str, msgspec.Meta(description="An exact decimal, such as 0.0000025.")]


class PriceIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What one unit of a kind costs. `product` left out: of every product of the provider. `from_at` left out: always
    was.
    """

    provider: str
    unit: str
    amount: _Exact
    currency: str
    product: str = ""
    tier: str = ""
    condition: str = ""
    from_at: Instant | None = None
    to_at: Instant | None = None


class PriceEdit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Another amount from `from_at` on, to be left out for a price that lies ahead; or another end, null: none."""

    amount: _Exact | msgspec.UnsetType = msgspec.UNSET
    currency: str | msgspec.UnsetType = msgspec.UNSET
    from_at: Instant | msgspec.UnsetType = msgspec.UNSET
    to_at: Instant | msgspec.UnsetType | None = msgspec.UNSET


class PricePreviewIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`create`: a price as it would be sent. Or `price_id`, with `edit` as it would be sent, or else its deletion."""

    create: PriceIn | None = None
    price_id: str | None = None
    edit: PriceEdit | None = None


class PriceOut(msgspec.Struct, kw_only=True):
    """In force in [from_at, to_at). Null: since ever, until further notice. `product` `*`: each of the provider."""

    id: str
    provider: str
    product: str
    unit: str
    tier: str
    condition: str
    from_at: Instant | None
    to_at: Instant | None
    amount: str
    currency: str
    source: Literal["hand", "litellm", "csv"]
    created_at: Instant


class PricePage(msgspec.Struct):
    items: list[PriceOut]
    next: str | None


class PricesPreview(msgspec.Struct, kw_only=True):
    """In [from_at, to_at) calls may cost otherwise; null: since ever, for ever. `looked_from`: calls before it were not
    looked at, as there are too many; null: all were.

    `calls`: of what the prices are about; `calls_with_own_cost` of them tell what they cost, and stay as they are.
    `before` and `after`: by currency, what the calls whose cost is known come to. `calls_unknown` would have none.
    """

    from_at: Instant | None
    to_at: Instant | None
    looked_from: Instant | None
    prices: int
    calls: int
    calls_with_own_cost: int
    calls_changed: int
    calls_priced: int
    calls_unpriced: int
    calls_unknown: int
    before: dict[str, str]
    after: dict[str, str]


class PriceWordOut(msgspec.Struct, kw_only=True):
    """Of a file: an entry and its key, or a line; and why it is no price."""

    where: str
    reason: str


class PriceImportOut(msgspec.Struct, kw_only=True):
    """`entries` of the file hold `prices`. `kept`: set by hand, and left alone. `missing`: from such a file, in force,
    and not in this one; they go on. `preview`: of a dry run.
    """

    dry_run: bool
    source: Literal["litellm", "csv"]
    from_at: Instant | None
    entries: int
    prices: int
    new: int
    changed: int
    same: int
    n_kept: int
    kept: list[PriceWordOut]
    n_missing: int
    missing: list[PriceWordOut]
    n_unmapped: int
    unmapped: list[PriceWordOut]
    preview: PricesPreview | None


SHAPES = (PriceIn, PriceEdit, PricePreviewIn, PricePage, PricesPreview, PriceImportOut)


def price_in(data: PriceIn) -> Price:
    """InvalidValueError."""
    return price_given(
        provider=data.provider,
        product=data.product,
        unit=data.unit,
        tier=data.tier,
        condition=data.condition,
        from_at=data.from_at,
        to_at=data.to_at,
        amount=data.amount,
        currency=data.currency,
    )


def edit_in(price_id: str, data: PriceEdit) -> Change:
    """InvalidValueError, NotFoundError."""
    number = number_of(price_id)
    reprices = data.amount is not msgspec.UNSET or data.currency is not msgspec.UNSET
    if data.to_at is not msgspec.UNSET:
        if reprices or data.from_at is not msgspec.UNSET:
            raise InvalidValueError("to_at", "is changed by itself: another amount holds until the price ends")
        return End(number, data.to_at)
    if not reprices:
        raise InvalidValueError("amount", "is required, or to_at")
    return Reprice(
        number,
        None if data.amount is msgspec.UNSET else amount_of(data.amount),
        None if data.currency is msgspec.UNSET else currency_of(data.currency),
        None if data.from_at is msgspec.UNSET else data.from_at,
    )


def change_in(data: PricePreviewIn) -> Change:
    """InvalidValueError, NotFoundError."""
    if (data.create is None) == (data.price_id is None):
        raise InvalidValueError("create", "is required, or else price_id")
    if data.create is not None:
        if data.edit is not None:
            raise InvalidValueError("edit", "goes with price_id")
        return Add(price_in(data.create))
    assert data.price_id is not None
    return Remove(number_of(data.price_id)) if data.edit is None else edit_in(data.price_id, data.edit)


def price_out(one: Kept) -> PriceOut:
    price = one.price
    return PriceOut(
        id=str(one.held.id),
        provider=price.provider,
        product=price.product,
        unit=price.unit,
        tier=price.tier,
        condition=price.condition,
        from_at=None if price.from_at <= ALWAYS else price.from_at,
        to_at=price.to_at,
        amount=rate_text(price.amount),
        currency=price.currency,
        source=one.held.source,  # type: ignore[arg-type]
        created_at=one.created_at,
    )


def foreseen_out(found: PricesForeseen) -> PricesPreview:
    return PricesPreview(
        from_at=found.from_at,
        to_at=found.to_at,
        looked_from=found.looked_from,
        prices=found.n_prices,
        calls=found.n_calls,
        calls_with_own_cost=found.n_given,
        calls_changed=found.n_changed,
        calls_priced=found.n_priced,
        calls_unpriced=found.n_unpriced,
        calls_unknown=found.n_unknown,
        before=amounts_out(found.before),
        after=amounts_out(found.after),
    )


def imported_out(file: PriceFile, found: Imported, *, calls: PricesForeseen | None) -> PriceImportOut:
    """`calls`: of a dry run."""
    return PriceImportOut(
        dry_run=calls is not None,
        source=file.source.value,  # type: ignore[arg-type]
        from_at=None if file.from_at <= ALWAYS else file.from_at,
        entries=file.n_entries,
        prices=len(file.prices),
        new=found.n_new,
        changed=found.n_changed,
        same=found.n_same,
        n_kept=len(found.kept),
        kept=_words(found.kept),
        n_missing=len(found.missing),
        missing=_words(found.missing),
        n_unmapped=len(file.unmapped),
        unmapped=[PriceWordOut(where=one.where, reason=one.reason) for one in file.unmapped[:MOST_TOLD]],
        preview=None if calls is None else foreseen_out(calls),
    )


def amounts_out(amounts: Mapping[str, Money]) -> dict[str, str]:
    return {currency: money_text(amounts[currency]) for currency in sorted(amounts)}


def _words(some: Sequence[Held]) -> list[PriceWordOut]:
    return [
        PriceWordOut(
            where=" ".join(text for text in one.price.key if text),
            reason=f"{rate_text(one.price.amount)} {one.price.currency}",
        )
        for one in some[:MOST_TOLD]
    ]
