"""A meter is made, or made to count differently, in a form: first previewed on the events that came, then saved.

Filters are written a line each: `region = eu, us`, `region != test`, `region exists`, `region missing`. A comma within
a value cannot be written so; the API can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from litestar import Response, get, post

from heartfly.api.paging import instant_of
from heartfly.core.amounts import text_of
from heartfly.core.definitions import definition_of, meter_from
from heartfly.core.meters import Aggregation, Meter
from heartfly.core.versions import Version
from heartfly.db.ids import first_id
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.usage import meters
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.meter_queries import Stored, find_meter
from heartfly.usage.preview import PATIENCE_S, Preview, preview
from heartfly.usage.rerun import zone_of
from heartfly.web.request import FOR_WRITERS, Form, PageRequest, rev_of_form
from heartfly.web.sign_in import to
from heartfly.web.usage_picture import told

MOST_TOLD = 100
PREVIEWED = timedelta(days=7)
LABELS = {
    "slug": "Slug", "name": "Name", "unit": "Unit", "event_types": "Event types", "aggregation": "Aggregation",
    "value": "Value", "percentile": "Percentile", "filters": "Filters", "group_keys": "Group keys",
    "from_at": "From", "to_at": "To",
}  # fmt: skip
_MOST_TEXT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """As typed."""

    slug: str = ""
    name: str = ""
    unit: str = ""
    event_types: str = ""
    aggregation: str = "count"
    value: str = ""
    percentile: str = ""
    filters: str = ""
    group_keys: str = ""
    from_at: str = ""
    to_at: str = ""

    @classmethod
    def sent(cls, form: Form) -> Values:
        return cls(**{name: form[name].strip()[:_MOST_TEXT] for name in LABELS})

    @classmethod
    def of(cls, meter: Meter) -> Values:
        found = definition_of(meter)
        return cls(
            event_types=", ".join(found["event_types"]),
            aggregation=found["aggregation"],
            value=found.get("value", ""),
            percentile=found.get("percentile", ""),
            filters="\n".join(_lines(found.get("filters", ()))),
            group_keys=", ".join(found.get("group_keys", ())),
        )


@get("/p/{project:str}/usage/meters/new", opt=FOR_WRITERS)
async def show_new(request: PageRequest) -> Response[bytes]:
    return await _form(request, Values(event_types=request.query_params.get("type", "")[:300]), None)


@post("/p/{project:str}/usage/meters/new", opt=FOR_WRITERS, status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    """With `preview` it says what it would come to, and saves nothing."""
    api, pid, at, form = request.api, request.project.pid, request.api.clock.now(), await request.sent()
    actor = request.actor
    values = Values.sent(form)
    if errors := _problems(values, named=bool(values.slug or not form["preview"])):
        return await _form(request, values, None, status=422, errors=errors)
    try:
        meter, from_at, to_at = _wanted(values)
        if form["preview"]:
            return await _form(
                request, values, None, would=await _previewed(request, meter, from_at, to_at, None), part=_part(form)
            )
        wanted = meters.Wanted(
            slug=values.slug, name=values.name or values.slug, unit=values.unit, meter=meter, from_at=from_at,
            to_at=to_at,
        )  # fmt: skip
        made = await api.usage.write(lambda tx: meters.create_meter(tx, pid, wanted, actor=actor, at=at, ids=api.ids))
    except InvalidValueError as error:
        return await _form(request, values, None, status=422, errors=_beside(error))
    except ConflictError as error:
        field = "slug" if isinstance(error, meters.SlugTakenError) else ""
        return await _form(request, values, None, status=409, errors={field: str(error)})
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/meters/{made.slug}")


@get("/p/{project:str}/usage/meters/{meter:str}/version", opt=FOR_WRITERS)
async def show_version(request: PageRequest) -> Response[bytes]:
    stored = await _stored(request)
    return await _form(request, Values.of(stored.newest.meter), stored)


@post("/p/{project:str}/usage/meters/{meter:str}/version", opt=FOR_WRITERS, status_code=200)
async def change(request: PageRequest) -> Response[bytes]:
    api, pid, at, form = request.api, request.project.pid, request.api.clock.now(), await request.sent()
    actor = request.actor
    stored, values, name = await _stored(request), Values.sent(form), request.path_value("meter")
    rev = rev_of_form(form["rev"])
    if errors := _problems(values, named=False):
        return await _form(request, values, stored, status=422, errors=errors, rev=rev)
    try:
        meter, from_at, to_at = _wanted(values)
        if form["preview"]:
            would = await _previewed(request, meter, from_at, to_at, stored)
            return await _form(request, values, stored, would=would, rev=rev, part=_part(form))
        await api.usage.write(
            lambda tx: meters.change_meter(
                tx, pid, name, meter, from_at=from_at, to_at=to_at, rev=rev, actor=actor, at=at, ids=api.ids
            )
        )
    except InvalidValueError as error:
        return await _form(request, values, stored, status=422, errors=_beside(error), rev=rev)
    except ChangedMeanwhileError:
        said = "somebody changed this meter since you opened the form; look at its versions, and save again"
        return await _form(request, values, stored, status=409, errors={"": said})
    except ConflictError as error:
        return await _form(request, values, stored, status=409, errors={"": str(error)}, rev=rev)
    await carry_or_wait(api.usage, api.database)
    return to(request, f"/p/{request.project.slug}/usage/meters/{stored.row.slug}")


def written(meter: Meter) -> list[tuple[str, str]]:
    """What a meter counts, as people read it: a label and a text each."""
    values = Values.of(meter)
    found = [("Event types", values.event_types), ("Aggregation", values.aggregation)]
    if values.percentile:
        found[-1] = ("Aggregation", f"percentile {text_of(meter.percent)}")
    for label, text in (("Value", values.value), ("Filters", values.filters), ("Group keys", values.group_keys)):
        if text:
            found.append((label, text))
    return found


async def _stored(request: PageRequest) -> Stored:
    async with request.api.usage.read() as read:
        return await find_meter(read, request.project.pid, request.path_value("meter"))


async def _previewed(
    request: PageRequest, meter: Meter, from_at: datetime | None, to_at: datetime | None, stored: Stored | None
) -> Preview:
    """Of the last seven days."""
    api, pid, now = request.api, request.project.pid, request.api.clock.now()
    existing: Sequence[Version] = () if stored is None else stored.versions
    async with api.database.read() as main:
        zone = await zone_of(main, pid)
    newest = max([first_id(now), *(one.id + 1 for one in existing)])
    proposed = Version(id=newest, meter_id=0, meter=meter, from_at=from_at, to_at=to_at)
    async with api.usage.read() as read:
        return await preview(
            read, pid, proposed, existing, from_at=now - PREVIEWED, to_at=now, zone=zone,
            monotonic=api.clock.monotonic,
        )  # fmt: skip


async def _form(
    request: PageRequest,
    values: Values,
    stored: Stored | None,
    *,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    would: Preview | None = None,
    rev: int | None = None,
    part: int = 1,
) -> Response[bytes]:
    """`part`: which of the preview's figures are told, from 1."""
    first = (part - 1) * MOST_TOLD
    n_items = 0 if would is None else len(would.items)
    return await request.page(
        "usage_meter_form.html",
        status=status,
        values=values,
        stored=stored,
        rev=rev if rev is not None else 0 if stored is None else stored.row.rev,
        errors=errors or {},
        labels=LABELS,
        aggregations=[one.value for one in Aggregation],
        would=would,
        listed=[] if would is None else would.items[first : first + MOST_TOLD],
        part=part,
        first=first,
        n_items=n_items,
        n_parts=-(-n_items // MOST_TOLD),
        n_more=0 if would is None else would.more,
        now_told=lambda one: told(one.before, stored.newest.meter.aggregation) if stored else "–",
        told=lambda one: told(one.value, Aggregation(values.aggregation)),
        days=PREVIEWED.days,
        patience_s=PATIENCE_S,
    )


def _part(form: Form) -> int:
    """Which of the preview's figures were asked for; whatever is no number asks for the first."""
    asked = form["preview"]
    return max(1, int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 1


def _wanted(values: Values) -> tuple[Meter, datetime | None, datetime | None]:
    """InvalidValueError names the field."""
    definition: dict[str, Any] = {
        "event_types": _list(values.event_types),
        "aggregation": values.aggregation,
        "filters": _filters(values.filters),
        "value": values.value or None,
        "percentile": values.percentile or None,
        "group_keys": _list(values.group_keys),
    }
    meter = meters.usable(meter_from(definition))
    from_at, to_at = (instant_of(getattr(values, name) or None, field=name) for name in ("from_at", "to_at"))
    meters.demand_times(from_at, to_at)
    return meter, from_at, to_at


def _problems(values: Values, *, named: bool) -> dict[str, str]:
    """Each field that is wrong, all of them at once, in the form's order. `named`: its slug, name and unit, too.

    What is found first is put right for the trial only, until nothing more is found.
    """
    found: dict[str, str] = {}
    tried = values
    for try_it in (
        lambda: named and meters.slug_of(values.slug),
        lambda: named and meters.named_of(values.name or "x", values.unit),
    ):
        try:
            try_it()
        except InvalidValueError as error:
            found |= _beside(error)
    for _ in LABELS:
        try:
            _wanted(tried)
        except InvalidValueError as error:
            (field,) = beside = _beside(error)
            found |= beside
            tried = replace(tried, **_harmless(tried, field))
        else:
            break
    return {name: found[name] for name in LABELS if name in found}


def _harmless(values: Values, field: str) -> dict[str, str]:
    """Instead of what is wrong: it goes with whatever else was typed."""
    match field:
        case "event_types":
            return {field: "x"}
        case "aggregation":
            return {field: "count", "value": "", "percentile": ""}
        case "value":
            return {field: "" if values.aggregation == Aggregation.COUNT else "x"}
        case "percentile":
            return {field: "50" if values.aggregation == Aggregation.PERCENTILE else ""}
        case _:
            return {field: ""}


def _list(text: str) -> list[str]:
    return [one.strip() for one in text.replace("\n", ",").split(",") if one.strip()]


def _filters(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in filter(None, (one.strip() for one in text.splitlines())):
        for sign, name in (("!=", "none_of"), ("=", "any_of")):
            left, there, right = line.partition(sign)
            if there and left.strip() and _list(right):
                found.append({"property": left.strip(), name: _list(right)})
                break
        else:
            left, _, word = line.rpartition(" ")
            if word not in {"exists", "missing"} or not left.strip():
                raise InvalidValueError(
                    "filters",
                    f"has a line that is none: {line[:60]!r}; write it as `region = eu, us`, or `region exists`",
                )
            found.append({"property": left.strip(), "exists": word == "exists"})
    return found


def _lines(filters: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    for one in filters:
        name = one["property"]
        if "exists" in one:
            found.append(f"{name} {'exists' if one['exists'] else 'missing'}")
        found += [
            f"{name} {sign} {', '.join(one[key])}" for key, sign in (("any_of", "="), ("none_of", "!=")) if key in one
        ]
    return found


def _beside(error: InvalidValueError) -> dict[str, str]:
    """The field of the form that holds it: `filters[0].property` is in `filters`."""
    return {error.field.partition("[")[0].partition(".")[0]: error.message}
