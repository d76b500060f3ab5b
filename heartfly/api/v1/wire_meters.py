"""Meters and their figures as the API takes and gives them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from heartfly.api.v1.wire import Instant
from heartfly.core.amounts import Amount, text_of
from heartfly.core.definitions import definition_of, meter_from
from heartfly.core.meters import Meter
from heartfly.core.versions import Version, in_force
from heartfly.usage.answers import Item
from heartfly.usage.meter_queries import Lately, Stored
from heartfly.usage.meters import usable
from heartfly.usage.preview import Foretold, Preview
from heartfly.usage.uncountable import Example
from heartfly.usage.whose import Customer


class FilterIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """All that is said must hold. Values are compared as texts: 45 and "45" are one."""

    property: str
    """Its name; `request.size` looks within an object."""
    exists: bool | None = None
    """Whether the event must have the property, or must not."""
    any_of: list[str] = []
    none_of: list[str] = []
    """An event without the property passes."""


class DefinitionIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Which events count, for how much, and in which groups."""

    event_types: list[str]
    aggregation: str
    """`count`, `sum`, `min`, `max`, `average`, `latest`, `unique` or `percentile`."""
    filters: list[FilterIn] = []
    value: str | None = None
    """A property, or an expression such as `num_recipients * size`; for `unique` the property whose values are told
    apart. Not for `count`.
    """
    percentile: str | int | float | None = None
    """Above 0, up to 100; for `percentile` only."""
    group_keys: list[str] = []
    """Up to five properties by whose values figures can be told apart, besides customers."""


class MeterIn(DefinitionIn, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`slug`: 1 to 60 of `a-z 0-9 - _`, one meter's of the project for good."""

    slug: str
    name: str = ""
    """The slug, if none is given."""
    unit: str = ""
    from_at: Instant | None = None
    """It counts what happened from then on; null: since ever."""
    to_at: Instant | None = None
    """It counts what happened before; null: for ever."""


class MeterEdit(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    unit: str | msgspec.UnsetType = msgspec.UNSET


class VersionIn(DefinitionIn, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How the meter shall count in [from_at, to_at), whatever it counted there before."""

    from_at: Instant | None = None
    """Null: since ever."""
    to_at: Instant | None = None
    """Null: for ever."""


class PreviewIn(VersionIn, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    meter: str | None = None
    """The slug or id of a meter that would change so; null: it would be a new one."""
    from_: Instant | None = msgspec.field(default=None, name="from")
    """Events from then on are looked at; null: seven days before `to`."""
    to: Instant | None = None
    """And before this; null: now."""
    zone: str | None = None
    """Whose days; null: the project's."""


class FilterOut(msgspec.Struct, kw_only=True):
    property: str
    exists: bool | None = None
    any_of: list[str] = []
    none_of: list[str] = []


class VersionOut(msgspec.Struct, kw_only=True):
    event_types: list[str]
    aggregation: str
    filters: list[FilterOut] = []
    value: str | None = None
    percentile: str | None = None
    group_keys: list[str] = []
    from_at: Instant | None
    to_at: Instant | None
    created_at: Instant


class UncountedOut(msgspec.Struct, kw_only=True):
    """The newest event that the meter looked at and could not count."""

    transaction_id: str
    timestamp: Instant
    property: str
    """Which is wrong; empty where what they come to together is more than 20 digits and 18 places."""
    value: str | None
    """As text, its beginning; null: it is not there."""


class LatelyOut(msgspec.Struct, kw_only=True):
    """How its events of the last 24 hours fared, as far as they have been summed up."""

    from_at: Instant
    to_at: Instant
    counted: int
    missing: int
    """Lacked a property that the meter needs."""
    no_amount: int
    """Had it, but no exact decimal of 20 digits and 18 places in it."""
    warning: str | None
    example: UncountedOut | None
    """Null also if it was not found among the newest 20,000 events."""


class MeterOut(msgspec.Struct, kw_only=True):
    id: str
    slug: str
    name: str
    unit: str
    current: VersionOut
    """The version that counts now; if none does, the newest."""
    versions: list[VersionOut]
    """All, as they were made: of those whose time holds an instant, the one that was made last counts there."""
    created_at: Instant
    archived_at: Instant | None
    lately: LatelyOut | None = None
    """Told when one meter is read."""


class MeterPage(msgspec.Struct):
    items: list[MeterOut]
    next: str | None


class KnownAsOut(msgspec.Struct):
    id: str
    name: str


class FigureOut(msgspec.Struct, kw_only=True):
    """`state`: open, provisional, final or amended. `n`: events that count."""

    from_at: Instant
    to_at: Instant
    state: str
    customer: KnownAsOut | None = None
    """When grouped by customer or subject; null: nobody is known by `subject`."""
    subject: str | None = None
    group: dict[str, str | None] = {}
    """The values of group keys; null: the event has no such property."""
    n: int
    value: float | None
    """As near as a float comes to it. Null: nothing has no largest value."""
    value_exact: str | None
    """To the last digit."""


class Figures(msgspec.Struct, kw_only=True):
    meter: str
    unit: str
    from_at: Instant
    to_at: Instant
    window: str
    zone: str
    complete_up_to: Instant
    """Whatever has come of what happened before this is in the figures."""
    items: list[FigureOut]
    next: str | None


class ForetoldOut(msgspec.Struct, kw_only=True):
    """A customer's day. `before`: what it comes to now."""

    from_at: Instant
    to_at: Instant
    customer: KnownAsOut | None
    subject: str | None
    """Of somebody who is not known."""
    n: int
    value: float | None
    value_exact: str | None
    n_before: int
    before: float | None
    before_exact: str | None
    difference_exact: str | None
    """Null: one of the two is."""


class PreviewOut(msgspec.Struct, kw_only=True):
    """What was looked at: events in [looked_from, to_at). `whole`: that is all that was asked for."""

    looked_from: Instant
    to_at: Instant
    whole: bool
    looked_at: int
    """Events of any type."""
    matched: int
    missing: int
    """Lacked a property that the meter needs."""
    no_amount: int
    items: list[ForetoldOut]
    """Those that change come first."""
    more: int
    """So many further ones are left out."""


SHAPES = (MeterIn, MeterEdit, VersionIn, PreviewIn, MeterPage, Figures, PreviewOut)


def meter_in(given: DefinitionIn) -> Meter:
    """InvalidValueError names the field, such as `filters[0].property`."""
    percent = None if given.percentile is None else str(given.percentile)
    filters = [msgspec.to_builtins(one) for one in given.filters]
    definition: dict[str, Any] = {
        "event_types": given.event_types,
        "aggregation": given.aggregation,
        "filters": filters,
        "value": given.value,
        "percentile": percent,
        "group_keys": given.group_keys,
    }
    return usable(meter_from(definition))


def meter_out(stored: Stored, *, now: datetime, lately: Lately | None = None) -> MeterOut:
    row = stored.row
    versions = [_version(one, at) for one, at in zip(stored.versions, stored.made_at, strict=True)]
    counting = in_force(stored.versions, now) or stored.newest
    return MeterOut(
        id=row.uuid,
        slug=row.slug,
        name=row.name,
        unit=row.unit,
        current=versions[stored.versions.index(counting)],
        versions=versions,
        created_at=row.created_at,
        archived_at=row.archived_at,
        lately=None if lately is None else _lately(lately),
    )


def _version(version: Version, created_at: datetime) -> VersionOut:
    span = {"from_at": version.from_at, "to_at": version.to_at, "created_at": created_at}
    return msgspec.convert(definition_of(version.meter) | span, VersionOut)


def _lately(found: Lately) -> LatelyOut:
    return LatelyOut(
        from_at=found.from_at,
        to_at=found.to_at,
        counted=found.counted,
        missing=found.missing,
        no_amount=found.no_amount,
        warning=found.warning,
        example=None if found.example is None else _example(found.example),
    )


def _example(found: Example) -> UncountedOut:
    return UncountedOut(transaction_id=found.transaction_id, timestamp=found.at, property=found.name, value=found.value)


def figure_out(item: Item) -> FigureOut:
    text = exact(item.value)
    return FigureOut(
        from_at=item.window.from_at,
        to_at=item.window.to_at,
        state=item.state.value,
        customer=_customer(item.customer),
        subject=item.subject,
        group=dict(item.group),
        n=item.n,
        value=None if text is None else float(text),  # of all numbers that JSON's readers know, the nearest
        value_exact=text,
    )


def preview_out(found: Preview) -> PreviewOut:
    return PreviewOut(
        looked_from=found.looked_from,
        to_at=found.to_at,
        whole=found.whole,
        looked_at=found.looked_at,
        matched=found.matched,
        missing=found.missing,
        no_amount=found.no_amount,
        items=[_foretold(one) for one in found.items],
        more=found.more,
    )


def _foretold(one: Foretold) -> ForetoldOut:
    differs = None if one.value is None or one.before is None else one.value - one.before
    return ForetoldOut(
        from_at=one.window.from_at,
        to_at=one.window.to_at,
        customer=_customer(one.subject.customer),
        subject=None if one.subject.customer else one.subject.text,
        n=one.n,
        value=_number(one.value),
        value_exact=exact(one.value),
        n_before=one.n_before,
        before=_number(one.before),
        before_exact=exact(one.before),
        difference_exact=exact(differs),
    )


def exact(value: Amount | None) -> str | None:
    return None if value is None else text_of(value)


def _number(value: Amount | None) -> float | None:
    return None if value is None else float(text_of(value))


def _customer(found: Customer | None) -> KnownAsOut | None:
    return None if found is None else KnownAsOut(found.uuid, found.name)
