"""Calls out of events, column by column: of whom and of what each is, how it ended, and all that it adds to sums.

What a call adds is one whole number (core/lanes.py), its cost at its instant included. Calls that tell the same
properties are looked at together: which units those are, and what each costs, is asked once for all of them. What is no
amount loses no call: it is left out, and counted as odd.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import lshift, mul
from typing import Any, NamedTuple

from heartfly.core.amounts import ONE, Amount
from heartfly.core.calls import GIVEN, PRICED, UNITS, UNPRICED, measure
from heartfly.core.columns import Amounts, Page
from heartfly.core.lanes import ERRORS, LATENCY, ODD, TIMED, TOLD, Layout, place_of
from heartfly.core.lanes import UNPRICED as UNPRICED_LANE
from heartfly.core.money import CURRENCIES, Money
from heartfly.core.prices import KIND, REQUESTS, STAND_INS, Sheet
from heartfly.db.types import instant, micros
from heartfly.usage.call_books import Sheets
from heartfly.usage.call_values import Costs, Tags, name_of, provider_of
from heartfly.usage.event_columns import NOTHING, Statuses, Times, times_in

MOST_KINDS = 64
"""Of units, of one window; of more, those that come first by the alphabet."""
FIRST_ERROR = 400
_MOST_KNOWN = 50_000
_MOST_FORMS = 2_000
_UNITS = "units."
_EVER = 1 << 70
NO_TIME, _NO_BUCKET = -1, 2_048
"""A bucket as a number from 1 to 4,095; 0: the time was nothing."""
BUCKET_BITS = 12
BUCKET_MASK = (1 << BUCKET_BITS) - 1


class Told(NamedTuple):
    """Of a page of calls, a column each. `worth`: what each adds to sums. `unpriced`: places of those without a cost.

    `us`, `buckets`: how long each took; NO_TIME: it is not known. Names as they were sent: `name_of` and `provider_of`
    say what they are. `tags`: in order, at least one, which is empty where there is none.
    """

    providers: Sequence[str | None]
    models: Sequence[str | None]
    endpoints: Sequence[str | None]
    users: Sequence[str | None]
    keys: Sequence[str | None]
    tags: Sequence[tuple[str, ...]]
    statuses: Sequence[int]
    us: Sequence[int]
    buckets: Sequence[int]
    worth: Sequence[int]
    unpriced: Sequence[int]


def bucket_in(number: int) -> int:
    """As core/sketches.py has it; not of 0."""
    return number - _NO_BUCKET


class _Form:
    """Calls that tell the same properties. `names`: where the units of `kinds` are; None: one, that none told.

    `shifts` None: some kinds do not count, and each call is looked at alone. `adds`: what all of them add.
    """

    __slots__ = ("adds", "gives_cost", "kinds", "names", "nested", "shifts")

    def __init__(self, row: Mapping[str, Any], layout: Layout) -> None:
        inner = row.get("units")
        self.nested = frozenset(inner) if isinstance(inner, dict) else frozenset[str]()
        flat = {name[len(_UNITS) :]: name for name in row if name.startswith(_UNITS)}
        kinds = sorted(flat.keys() | self.nested)
        valid = [kind for kind in kinds if KIND.fullmatch(kind)]
        self.names: list[str | None] = [flat.get(kind, "") for kind in valid]
        self.adds = (len(kinds) - len(valid)) << ODD
        if REQUESTS not in valid:
            valid.append(REQUESTS)
            self.names.append(None)
        self.kinds = tuple(valid)
        self.gives_cost = "cost" in row
        lanes = [layout.of_kind(kind, measure(UNITS, kind)) for kind in self.kinds]
        self.shifts: list[int] | None = None
        if None not in lanes:
            places = [place_of(lane) for lane in lanes if lane is not None]
            self.shifts = [place + TOLD for place in places]
            self.adds += sum(1 << place for place in places)


class _Rates(NamedTuple):
    """`by_currency`: where its money goes, and a rate for each kind. `conditional`: rates depend on how much it is.

    `adds`: what else a call adds.
    """

    by_currency: Sequence[tuple[int, Sequence[int]]] = ()
    conditional: bool = False
    unpriced: bool = False
    adds: int = 0


class _Priced:
    """A product at a tier, in [from_us, to_us)."""

    __slots__ = ("from_us", "rates", "sheet", "to_us")

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.from_us = -_EVER if sheet.from_at is None else micros(sheet.from_at)
        self.to_us = _EVER if sheet.to_at is None else micros(sheet.to_at)
        self.rates: dict[Any, _Rates] = {}


_Place = tuple[str | None, str | None, str | None]
"""Provider, model and tier, as they were sent."""


class CallReader:
    """`layout`: the lanes of what calls add. Between two pages it may be narrowed (`narrow`)."""

    def __init__(self, sheets: Sheets) -> None:
        self.layout = Layout(MOST_KINDS)
        self._sheets = sheets
        self._amounts = Amounts()
        self._times, self._statuses, self._tags, self._costs = Times(), Statuses(), Tags(), Costs()
        self._forms: dict[Any, _Form] = {}
        self._priced: dict[_Place, _Priced] = {}

    def told(self, page: Page, ats: Sequence[int]) -> Told:
        """`ats`: when each was, in microseconds."""
        texts = page.texts
        providers, models, tiers, errors = texts("provider"), texts("model"), texts("tier"), texts("error")
        statuses = [self._statuses[text] for text in texts("status")]
        us, buckets = times_in(texts("latency_ms"), self._times)
        failed = [
            status >= FIRST_ERROR or error not in _NO_ERROR for status, error in zip(statuses, errors, strict=True)
        ]
        worth = [
            (1 | took << LATENCY | 1 << TIMED if took >= 0 else 1) + (1 << ERRORS if bad else 0)
            for took, bad in zip(us, failed, strict=True)
        ]
        products = list(zip(providers, models, tiers, strict=True))
        self._foresee(set(products) - self._priced.keys())
        unpriced: list[int] = []
        for form, places in self._by_form(page.rows):
            self._add(form, places, page.rows, products, ats, failed, worth, unpriced)
        return Told(
            providers,
            models,
            texts("endpoint"),
            texts("user"),
            texts("key"),
            self._tags_of(page),
            statuses,
            us,
            [bucket + _NO_BUCKET if bucket != NOTHING else 0 for bucket in buckets],
            worth,
            unpriced,
        )

    def narrow(self) -> Mapping[int, int]:
        """Too many kinds came up: by the lane until now, that of each measure that still counts."""
        self._forms.clear()
        self._priced.clear()
        return self.layout.narrow((UNITS, UNPRICED))

    # --- units and money

    def _by_form(self, rows: Sequence[Mapping[str, Any]]) -> Iterable[tuple[_Form, Sequence[int]]]:
        if len(self._forms) > _MOST_FORMS:
            self._forms.clear()
            self._priced.clear()
        found: dict[Any, list[int]] = {}
        for place, row in enumerate(rows):
            key: Any = tuple(row)
            if "units" in key and isinstance(row["units"], dict):
                key = key, tuple(row["units"])
            if key in found:
                found[key].append(place)
            else:
                found[key] = [place]
        for key, places in found.items():
            form = self._forms.get(key)
            if form is None:
                form = self._forms[key] = _Form(rows[places[0]], self.layout)
            yield form, places

    def _add(  # noqa: PLR0917 - the columns of a page
        self,
        form: _Form,
        places: Sequence[int],
        rows: Sequence[Mapping[str, Any]],
        products: Sequence[_Place],
        ats: Sequence[int],
        failed: Sequence[bool],
        worth: list[int],
        unpriced: list[int],
    ) -> None:
        mine = [rows[place] for place in places]
        columns = self._columns(form, mine)
        known, shifts = self._priced, form.shifts
        if columns is None or shifts is None or form.gives_cost:
            given = repeat(None) if columns is None or shifts is None else self._given(form, mine, columns, shifts)
            for place, told in zip(places, given, strict=False):
                if told is not None:
                    worth[place] += told
                    continue
                value, has_no_cost = self._alone(form, rows[place], products[place], ats[place], failed[place])
                worth[place] += value
                if has_no_cost:
                    unpriced.append(place)
            return
        for place, units in zip(places, zip(*columns, strict=False), strict=True):
            product, at = products[place], ats[place]
            priced = known.get(product)
            if priced is None or not priced.from_us <= at < priced.to_us:
                priced = self._price(product, at)
            bad = failed[place]
            of: Any = form
            if bad or 0 in units:
                of = (form, bad, tuple(map(bool, units)))
            rates = priced.rates.get(of)
            if rates is None:
                used = [kind for kind, amount in zip(form.kinds, units, strict=True) if amount]
                rates = priced.rates[of] = self._rates(form, used, priced.sheet, failed=bad)
            if rates.conditional:
                value, has_no_cost = self._cost(dict(zip(form.kinds, units, strict=True)), priced.sheet, failed=bad)
                value += form.adds
                if has_no_cost:
                    unpriced.append(place)
            else:
                value = form.adds + rates.adds
                for shift, by_kind in rates.by_currency:
                    value += sum(map(mul, by_kind, units)) << shift
                if rates.unpriced:
                    unpriced.append(place)
            worth[place] += value + sum(map(lshift, units, shifts))

    def _given(
        self,
        form: _Form,
        rows: Sequence[Mapping[str, Any]],
        columns: Iterable[Iterable[Amount]],
        shifts: Sequence[int],
    ) -> Iterator[int | None]:
        """What calls add that tell their cost. None: of one that does not, or not so that all of it is clear."""
        costs = self._costs
        for row, units in zip(rows, zip(*columns, strict=False), strict=False):
            told, currency = row["cost"], row.get("currency")
            money = costs[told] if isinstance(told, str) else None
            if money is None or not isinstance(currency, str) or currency not in CURRENCIES:
                yield None
            else:
                yield form.adds + sum(map(lshift, units, shifts)) + self._money(GIVEN, currency, money)

    def _columns(self, form: _Form, rows: Sequence[Mapping[str, Any]]) -> list[Iterable[Amount]] | None:
        """A column of amounts a kind. None: something in them is none."""
        found: list[Iterable[Amount]] = []
        known = self._amounts
        for kind, name in zip(form.kinds, form.names, strict=True):
            if name is None:
                found.append(repeat(ONE, len(rows)))
                continue
            texts = [row[name] for row in rows] if name else [row["units"][kind] for row in rows]
            if set(map(type, texts)) != _TEXTS:
                return None
            amounts = [known[text] for text in texts]
            if set(map(type, amounts)) != _INTEGERS or min(amounts) < 0:  # type: ignore[operator]
                return None
            found.append(amounts)  # type: ignore[arg-type]
        return found

    def _foresee(self, products: Collection[_Place]) -> None:
        if products:
            self._sheets.foresee({(provider_of(provider), name_of(model)) for provider, model, _ in products})

    def _price(self, product: _Place, at: int) -> _Priced:
        provider, model, tier = product
        if len(self._priced) >= _MOST_KNOWN:
            self._priced.clear()
        sheet = self._sheets.sheet(provider_of(provider), name_of(model), name_of(tier), instant(at))
        found = self._priced[product] = _Priced(sheet)
        return found

    def _rates(self, form: _Form, used: Sequence[str], sheet: Sheet, *, failed: bool) -> _Rates:
        """Of calls that used these kinds."""
        chosen = {}
        for kind in used:
            choices = sheet.choices.get(kind) or sheet.choices.get(STAND_INS.get(kind, "")) or ()
            if any(choice.condition is not None for choice in choices):
                return _Rates(conditional=True)
            if choices:
                chosen[kind] = choices[0]
        cost = sheet.cost(dict.fromkeys(used, ONE), failed=failed)
        if cost.unpriced:
            return _Rates(unpriced=True, adds=self._unpriced(cost.unpriced))
        found: list[tuple[int, Sequence[int]]] = []
        adds = 0
        for currency, money in cost.amounts.items():
            rates = [one.rate if (one := chosen.get(k)) and one.currency == currency else 0 for k in form.kinds]
            if sum(rates) * ONE != money:
                return _Rates(conditional=True)  # the sheet knows of more than its choices
            place = place_of(self.layout.of(measure(PRICED, currency)))
            found.append((place + TOLD, rates))
            adds += 1 << place
        return _Rates(found, adds=adds)

    def _cost(self, units: Mapping[str, Amount], sheet: Sheet, *, failed: bool) -> tuple[int, bool]:
        """What its cost adds, and whether it is not known."""
        cost = sheet.cost(units, failed=failed)
        if cost.unpriced:
            return self._unpriced(cost.unpriced), True
        return sum(self._money(PRICED, currency, money) for currency, money in cost.amounts.items()), False

    def _money(self, of: str, currency: str, money: Money) -> int:
        return (1 | money << TOLD) << place_of(self.layout.of(measure(of, currency)))

    def _unpriced(self, kinds: Iterable[str]) -> int:
        value = 1 << UNPRICED_LANE
        for kind in kinds:
            lane = self.layout.of_kind(kind, measure(UNPRICED, kind))
            value += 1 << ODD if lane is None else (1 | 1 << TOLD) << place_of(lane)
        return value

    def _alone(
        self,
        form: _Form,
        row: Mapping[str, Any],
        product: _Place,
        at: int,
        failed: bool,  # noqa: FBT001
    ) -> tuple[int, bool]:
        """A call that is looked at by itself."""
        units: dict[str, Amount] = {}
        n_odd = form.adds >> ODD & 0xFFFF
        for kind, name in zip(form.kinds, form.names, strict=True):
            if name is None:
                continue
            text = row[name] if name else row["units"][kind]
            found = self._amounts[text] if isinstance(text, str) else None
            if isinstance(found, int) and found >= 0:
                units[kind] = found
            elif text is not None:
                n_odd += 1
        units.setdefault(REQUESTS, ONE)
        value = 0
        for kind, amount in units.items():
            lane = self.layout.of_kind(kind, measure(UNITS, kind))
            if lane is None:
                n_odd += 1
            else:
                value += (1 | amount << TOLD) << place_of(lane)
        if form.gives_cost and (told := row["cost"]) is not None:
            money = self._costs[told] if isinstance(told, str) else None
            currency = row.get("currency")
            code = currency.strip().upper() if isinstance(currency, str) else ""
            if money is not None and code in CURRENCIES:
                return value + (n_odd << ODD) + self._money(GIVEN, code, money), False
            n_odd += 1
        priced = self._priced.get(product)
        if priced is None or not priced.from_us <= at < priced.to_us:
            priced = self._price(product, at)
        cost, has_no_cost = self._cost(units, priced.sheet, failed=failed)
        return value + (n_odd << ODD) + cost, has_no_cost

    # --- tags

    def _tags_of(self, page: Page) -> list[tuple[str, ...]]:
        known = self._tags
        column = [row.get("tags") for row in page.rows]
        return [
            known[json.dumps(one) if isinstance(one, list) else one if isinstance(one, str) else None] for one in column
        ]


_TEXTS, _INTEGERS = {str}, {int}
_NO_ERROR = frozenset({None, "", "false"})
