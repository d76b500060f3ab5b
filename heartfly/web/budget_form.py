"""A budget is made or edited in a form; what is wrong stands beside its field, and what was typed is kept.

Scope and parts are written a line each: `provider = openai, anthropic`; `provider openai = 200`. A comma within a name
cannot be written so; the API can. What a budget may be is decided in budgets/config.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from sqlalchemy import Row

from heartfly.budgets.commands import BudgetNameTakenError
from heartfly.budgets.config import PARTS, SCOPES, AllocationIn, BudgetIn, SpikeIn
from heartfly.budgets.rows import Stored, channels_of, heard_by, one_budget
from heartfly.core.budget_periods import Rhythm
from heartfly.core.budgets import USUAL_THRESHOLDS
from heartfly.core.days import day_of
from heartfly.errors import ChangedMeanwhileError, ConflictError, InvalidValueError
from heartfly.usage.rerun import zone_of
from heartfly.web.budget_changes import changer
from heartfly.web.request import FOR_WRITERS, Form, PageRequest, rev_of_form
from heartfly.web.sign_in import to

LABELS = {
    "name": "Name", "currency": "Currency", "amount": "Amount", "period": "Period", "starts_on": "From",
    "ends_on": "To", "every_days": "Every so many days", "auto_renew": "Renew it", "scope": "Which calls",
    "thresholds": "Tell at", "allocations": "Parts", "spike_percent": "Spike: percent of the days before",
    "spike_least": "Spike: at least", "low_days": "Runs low: days", "hard_stop": "Hard stop", "channels": "Who is told",
}  # fmt: skip
_MOST_TEXT = 40_000
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """As typed. `channels`: the ids that are ticked."""

    name: str = ""
    currency: str = ""
    amount: str = ""
    period: str = Rhythm.MONTHLY.value
    starts_on: str = ""
    ends_on: str = ""
    every_days: str = ""
    scope: str = ""
    thresholds: str = ", ".join(map(str, USUAL_THRESHOLDS))
    allocations: str = ""
    spike_percent: str = ""
    spike_least: str = ""
    low_days: str = ""
    auto_renew: bool = True
    hard_stop: bool = False
    channels: Sequence[str] = ()

    @classmethod
    def sent(cls, form: Form) -> Values:
        texts = {one.name: form[one.name].strip()[:_MOST_TEXT] for one in fields(cls) if one.name in _TEXTS}
        return cls(
            **texts,
            auto_renew="auto_renew" in form,
            hard_stop="hard_stop" in form,
            channels=form.many("channels"),
        )

    @classmethod
    def of(cls, stored: Stored, channels: Sequence[str]) -> Values:
        now = stored.agreed.as_asked()
        spike = now["spike"] or {"percent": "", "least": ""}
        return cls(
            **{name: "" if now[name] is None else str(now[name]) for name in _PLAIN},
            scope="\n".join(f"{name} = {', '.join(values)}" for name, values in now["scope"].items()),
            thresholds=", ".join(map(str, now["thresholds"])),
            allocations="\n".join(f"{one['by']} {one['name']} = {one['amount']}" for one in now["allocations"]),
            spike_percent=str(spike["percent"]),
            spike_least=str(spike["least"]),
            auto_renew=now["auto_renew"],
            hard_stop=now["hard_stop"],
            channels=channels,
        )

    def asked(self) -> BudgetIn:
        """InvalidValueError."""
        spike = None
        if self.spike_percent or self.spike_least:
            spike = SpikeIn(percent=_whole(self.spike_percent, "spike.percent"), least=self.spike_least)
        is_endless = self.period not in {Rhythm.PROJECT, Rhythm.UNLIMITED}
        asked = BudgetIn(
            name=self.name,
            currency=self.currency,
            amount=self.amount or None,
            period=self.period,
            ends_on=self.ends_on or None,
            every_days=_whole(self.every_days, "every_days") if self.every_days else None,
            auto_renew=self.auto_renew and is_endless,
            scope=_scope(self.scope),
            thresholds=[_whole(one, "thresholds") for one in _split(self.thresholds)],
            allocations=_parts(self.allocations),
            spike=spike,
            low_days=_whole(self.low_days, "low_days") if self.low_days else None,
            hard_stop=self.hard_stop,
            channels=list(self.channels),
        )
        if self.starts_on:
            asked.starts_on = self.starts_on
        return asked


_PLAIN = ("name", "currency", "amount", "period", "starts_on", "ends_on", "every_days", "low_days")
_TEXTS = frozenset({*_PLAIN, "scope", "thresholds", "allocations", "spike_percent", "spike_least"})


@get("/p/{project:str}/usage/budgets/new", opt=FOR_WRITERS)
async def show_new(request: PageRequest) -> Response[bytes]:
    """In the query: `name`, `currency` and `amount` that stand in it already."""
    async with request.api.database.read() as main:
        channels = await channels_of(main, request.project.pid)
        today = day_of(await zone_of(main, request.project.pid), request.api.clock.now())
    name, currency, amount = (request.query_params.get(one, "")[:100] for one in ("name", "currency", "amount"))
    values = Values(
        name=name, currency=currency, amount=amount, starts_on=today.isoformat(),
        channels=[one.uuid for one in channels],
    )  # fmt: skip
    return await _form(request, values, channels)


@post("/p/{project:str}/usage/budgets/new", opt=FOR_WRITERS, status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    values = Values.sent(await request.sent())
    try:
        made = await changer(request).create(values.asked())
    except (InvalidValueError, ConflictError) as error:
        return await _again(request, values, error)
    return to(request, f"/p/{request.project.slug}/usage/budgets/{made}")


@get("/p/{project:str}/usage/budgets/{budget:str}/edit", opt=FOR_WRITERS)
async def show_edit(request: PageRequest) -> Response[bytes]:
    async with request.api.database.read() as main:
        stored = await one_budget(main, request.project.pid, request.path_value("budget"))
        channels = await channels_of(main, request.project.pid)
        hearing = await heard_by(main, request.project.pid, [stored.row.id])
    return await _form(request, Values.of(stored, [one.uuid for one in hearing]), channels, stored=stored)


@post("/p/{project:str}/usage/budgets/{budget:str}/edit", opt=FOR_WRITERS, status_code=200)
async def save(request: PageRequest) -> Response[bytes]:
    form, name = await request.sent(), request.path_value("budget")
    values, rev = Values.sent(form), rev_of_form(form["rev"])
    async with request.api.database.read() as main:
        stored = await one_budget(main, request.project.pid, name)
    try:
        await changer(request).edit(name, values.asked(), rev=rev)
    except (InvalidValueError, ConflictError) as error:
        return await _again(request, values, error, stored=stored, rev=rev)
    return to(request, f"/p/{request.project.slug}/usage/budgets/{quote(name, safe='')}")


async def _again(
    request: PageRequest,
    values: Values,
    error: InvalidValueError | ConflictError,
    *,
    stored: Stored | None = None,
    rev: int | None = None,
) -> Response[bytes]:
    async with request.api.database.read() as main:
        channels = await channels_of(main, request.project.pid)
    if isinstance(error, InvalidValueError):
        errors, status = {_beside(error.field): error.message}, 422
    elif isinstance(error, ChangedMeanwhileError):
        errors = {"": "somebody changed the budget since you opened the form; saving again replaces what is there now"}
        status, rev = 409, None
    else:
        errors, status = {"name" if isinstance(error, BudgetNameTakenError) else "": str(error)}, 409
    return await _form(request, values, channels, stored=stored, rev=rev, errors=errors, status=status)


async def _form(
    request: PageRequest,
    values: Values,
    channels: Sequence[Row[Any]],
    *,
    stored: Stored | None = None,
    rev: int | None = None,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response[bytes]:
    """`rev` None: that of what is stored."""
    if rev is None:
        rev = 0 if stored is None else stored.row.rev
    known = [one.uuid for one in channels]
    return await request.page(
        "usage_budget_form.html",
        status=status,
        values=replace(values, channels=[one for one in values.channels if one in known]),
        stored=stored,
        rev=rev,
        channels=channels,
        errors=errors or {},
        labels=LABELS,
        periods=[one.value for one in Rhythm],
        scopes=", ".join(SCOPES),
        parts_by=", ".join(PARTS),
    )


# --- as it is written


def _scope(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for number, line in _lines(text):
        name, sign, values = line.partition("=")
        if not sign or not _split(values):
            raise InvalidValueError("scope", f"line {number} must be such as: provider = openai, anthropic")
        found.setdefault(name.strip(), []).extend(_split(values))
    return found


def _parts(text: str) -> list[AllocationIn]:
    found = []
    for number, line in _lines(text):
        whose, sign, amount = line.rpartition("=")
        by, _, name = whose.strip().partition(" ")
        if not sign or not name.strip():
            raise InvalidValueError("allocations", f"line {number} must be such as: provider openai = 200")
        found.append(AllocationIn(by=by, name=name.strip(), amount=amount.strip()))
    return found


def _lines(text: str) -> list[tuple[int, str]]:
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidValueError(field, "must be a whole number")
    return int(text)


def _beside(field: str) -> str:
    """`scope.provider[0]`, `allocations[2].amount` and `spike.least` stand beside what they were written in."""
    if field.startswith("spike."):
        return field.replace(".", "_")
    return next((name for name in ("scope", "allocations", "channels") if field.startswith(name)), field)
