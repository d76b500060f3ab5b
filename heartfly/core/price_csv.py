"""Prices out of a table that somebody has in a file: a row a price, with a heading that names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from heartfly.core.events import instant_of
from heartfly.core.money import rate_of_json, rate_text
from heartfly.core.price_given import price_given
from heartfly.core.prices import Price
from heartfly.errors import InvalidValueError

REQUIRED = ("provider", "unit", "amount", "currency")
COLUMNS = ("provider", "product", "unit", "tier", "condition", "from", "to", "amount", "currency")
_NAMES = {"from_at": "from", "to_at": "to"}
MOST_ROWS = 100_000


@dataclass(slots=True)
class PriceTable:
    """`prices`: those without a time of their own hold from `from_at` on. `wrong`: by its line, what is wrong."""

    n_rows: int = 0
    prices: list[Price] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)


def price_table(raw: bytes, *, from_at: datetime) -> PriceTable:
    """InvalidValueError: it is no such file. A row that is wrong is told; the others are taken."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValueError("file", "is not UTF-8") from error
    rows = csv.reader(io.StringIO(text, newline=""))
    found = PriceTable()
    try:
        heading = [name.strip().lower() for name in next(rows, [])]
        if lacking := [name for name in REQUIRED if name not in heading]:
            raise InvalidValueError("file", f"has no column {lacking[0]}; columns are {', '.join(COLUMNS)}")
        if unknown := [name for name in heading if name not in COLUMNS]:
            raise InvalidValueError("file", f"has a column {unknown[0][:50]!r}; columns are {', '.join(COLUMNS)}")
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            found.n_rows += 1
            if found.n_rows > MOST_ROWS:
                raise InvalidValueError("file", f"has more than {MOST_ROWS} rows")
            try:
                found.prices.append(_price(heading, row, from_at))
            except InvalidValueError as error:
                told = f"{_NAMES.get(error.field, error.field)}: {error.message}" if error.field else error.message
                found.wrong.append((rows.line_num, told))
    except csv.Error as error:
        raise InvalidValueError("file", f"is no CSV: {error}") from error
    found.prices.sort(key=lambda price: price.from_at)
    return found


def _price(heading: Sequence[str], cells: Sequence[str], from_at: datetime) -> Price:
    if len(cells) != len(heading):
        raise InvalidValueError("", f"has {len(cells)} cells, and the heading has {len(heading)}")
    row = dict(zip(heading, cells, strict=True))
    amount = rate_of_json(row["amount"].strip())  # spreadsheets write 3.75E-08
    return price_given(
        provider=row["provider"],
        product=row.get("product", ""),
        unit=row["unit"],
        tier=row.get("tier", ""),
        condition=row.get("condition", ""),
        from_at=_instant(row.get("from", ""), "from") or from_at,
        to_at=_instant(row.get("to", ""), "to"),
        amount=row["amount"] if amount is None else rate_text(amount),
        currency=row["currency"],
    )


def _instant(given: str, name: str) -> datetime | None:
    """A day is its beginning in UTC."""
    text = given.strip()
    if not text:
        return None
    found = instant_of(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    if found is None:
        raise InvalidValueError(name, "must be an instant such as 2026-03-02T01:30:00Z, or a day")
    return found
