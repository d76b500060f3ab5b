"""A report as a file for programs: CSV, NDJSON and Parquet, of the rows that report_rows.py makes.

CSV and NDJSON hold exact decimals. Parquet holds them as text, for they may outgrow its numbers; times are doubles
there, as a percentile is no exact figure anyway.
"""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime
from typing import Any

import msgspec

from heartfly.core.amounts import decimal_of, text_of
from heartfly.errors import InvalidValueError
from heartfly.traffic.report import Report
from heartfly.traffic.report_rows import COLUMNS, rows

_RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, also in the wide letters of East Asia."""
_TIMES = frozenset({"mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"})
_TEXTS = frozenset({"kind", "name", "title", "state", "unit", "fingerprint", "currency"})
_EXACT = frozenset({"price", "cost"})
"""Decimals that are texts already."""


class ExtraMissingError(InvalidValueError):
    """What was asked for needs a part of Heartfly that is not installed here."""

    def __init__(self, what: str, extra: str, *, why: str = "") -> None:
        needed = why or f"pip install 'heartfly[{extra}]', where it runs"
        super().__init__("format", f"{what} needs the extra `{extra}` of Heartfly ({needed})")


def as_csv(report: Report) -> bytes:
    """Texts from outside that a spreadsheet would run begin with an apostrophe."""
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(COLUMNS)
    for row in rows(report):
        lines.writerow([_cell(name, value) for name, value in zip(COLUMNS, astuple(row), strict=True)])
    return written.getvalue().encode()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _TEXTS:
        return f"'{value}" if str(value).startswith(_RUN) else str(value)
    if isinstance(value, datetime):
        return iso(value)
    return text_of(value) if name in _TIMES or name == "value" else str(value)


def as_ndjson(report: Report) -> bytes:
    """A row a line, without what it does not tell."""
    return b"".join(msgspec.json.encode(_object(astuple(row))) + b"\n" for row in rows(report))


def _object(values: tuple[Any, ...]) -> Mapping[str, Any]:
    told = ((name, value) for name, value in zip(COLUMNS, values, strict=True) if value is not None)
    return {name: _json(name, value) for name, value in told}


def _json(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if name in _TIMES:
        return msgspec.Raw(text_of(value).encode())
    return text_of(value) if name == "value" else value


def as_parquet(report: Report) -> bytes:
    """ExtraMissingError."""
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ExtraMissingError("a Parquet file", "parquet") from None
    found = [astuple(row) for row in rows(report)]
    arrays = [
        arrow.array([_stored(name, row[place]) for row in found], _type(arrow, name))
        for place, name in enumerate(COLUMNS)
    ]
    into = io.BytesIO()
    table = arrow.Table.from_arrays(arrays, names=list(COLUMNS))
    parquet.write_table(table, into, compression="zstd")
    return into.getvalue()


def _type(arrow: Any, name: str) -> Any:
    if name in {"from", "to"}:
        return arrow.timestamp("us", tz="UTC")
    if name in _TIMES:
        return arrow.float64()
    return arrow.string() if name in _TEXTS | _EXACT or name == "value" else arrow.int64()


def _stored(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return float(decimal_of(value))
    return text_of(value) if name == "value" else value


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
