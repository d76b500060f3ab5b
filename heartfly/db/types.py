"""Column types that mean the same on SQLite and PostgreSQL, to the last digit.

Instants are aware UTC datetimes (integer microseconds on SQLite, timestamptz on PostgreSQL); a naive
one is a bug and is refused. Decimals never pass through a float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, LargeBinary, Numeric, Text
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine
from typing_extensions import override

from heartfly.core.amounts import stored, text_of
from heartfly.core.money import rate, rate_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Whole microseconds since 1970, exact (a float of seconds would not be)."""
    since = at - EPOCH  # by its parts: to divide it by a microsecond takes three times as long
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


class UtcInstant(TypeDecorator[datetime]):
    impl = BigInteger
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(BigInteger())

    # Whole conversions, not the `process_…` halves that SQLAlchemy wraps twice: a ping converts thirty instants.
    @override
    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        return _aware if dialect.name == "postgresql" else _to_micros

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        return _to_utc if dialect.name == "postgresql" else _from_micros


def _aware(at: datetime | None) -> datetime | None:
    if at is not None and at.tzinfo is None:
        raise ValueError("an instant must know its time zone")
    return at


def _to_micros(at: datetime | None) -> int | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise ValueError("an instant must know its time zone")
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _to_utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)


def _from_micros(value: int | None) -> datetime | None:
    return None if value is None else EPOCH + value * _MICROSECOND


class ExactDecimal(TypeDecorator[Decimal]):
    """Exact decimals with up to 18 places: canonical text on SQLite, NUMERIC(38, 18) on PostgreSQL.

    SQLite has no decimal: its NUMERIC is a float, which damages the ninth digit. Sums over this
    column are made in Python on SQLite.
    """

    impl = Text
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(38, 18))
        return dialect.type_descriptor(Text())

    @override
    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return canonical(value)

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(canonical(Decimal(value)))


def canonical(value: Decimal) -> str:
    """The one spelling of a number: no exponent, no trailing zeros, no negative zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


class AmountText(TypeDecorator[int]):
    """An exact amount (core/amounts.py), of any length, as canonical decimal text on both databases."""

    impl = Text
    cache_ok = True

    @override
    def bind_processor(self, dialect: Dialect) -> Callable[[int | None], Any]:
        return _amount_text

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], int | None]:
        return _amount_back


def _amount_text(value: int | None) -> str | None:
    return None if value is None else text_of(value)


def _amount_back(value: str | None) -> int | None:
    return None if value is None else stored(value)


class RateText(TypeDecorator[int]):
    """What one unit costs (core/money.py), as canonical decimal text on both databases."""

    impl = Text
    cache_ok = True

    @override
    def bind_processor(self, dialect: Dialect) -> Callable[[int | None], Any]:
        return _rate_text

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], int | None]:
        return _rate_back


def _rate_text(value: int | None) -> str | None:
    return None if value is None else rate_text(value)


def _rate_back(value: str | None) -> int | None:
    return None if value is None else rate(value)


class TransactionId(TypeDecorator[str]):
    """A sender's name for an event, exactly. On SQLite one that is a UUID, as they are mostly written, is 16 bytes.

    Statements that look into the text itself see no UUID there; `==` does.
    """

    impl = Text
    cache_ok = True

    @override
    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], Any] | None:
        return None if dialect.name == "postgresql" else packed

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], str | None] | None:
        return None if dialect.name == "postgresql" else unpacked


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def packed(text: str | None) -> str | bytes | None:
    return None if text is None else packed_text(text)


def packed_text(text: str) -> str | bytes:
    if len(text) == 36 and _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    return text


def all_packed(texts: Sequence[str]) -> list[str | bytes]:
    """As `packed` of each, in half the time where all are UUIDs."""
    n, joined = len(texts), "\n".join(texts)
    if len(joined) == 37 * n - 1 and {*map(len, texts)} == {36} and joined == joined.lower():
        dashes = joined[8::37] + joined[13::37] + joined[18::37] + joined[23::37]
        digits = joined.replace("-", "")
        # Four dashes each, and all else digits but the ends of lines: what else `fromhex` passes over is missing then.
        if dashes == "-" * (4 * n) and len(digits) == 33 * n - 1:
            try:
                found = bytes.fromhex(digits)
            except ValueError:
                found = b""
            if len(found) == 16 * n:
                return [found[start : start + 16] for start in range(0, 16 * n, 16)]
    return [*map(packed_text, texts)]


def unpacked(value: str | bytes | None) -> str | None:
    return _text_of(value) if isinstance(value, bytes) else value


def _text_of(value: bytes) -> str:
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_DIGITS = [place for place in range(36) if place not in {8, 13, 18, 23}]
"""Where the digits of a UUID stand in its text; between them are dashes."""


def all_unpacked(values: Sequence[str | bytes]) -> list[str]:
    """As `unpacked` of each, in a third of the time where all are UUIDs: of all texts the same digit at once."""
    n = len(values)
    if {*map(type, values)} != {bytes} or {*map(len, values)} != {16}:
        return [one if isinstance(one, str) else _text_of(one) for one in values]
    digits, texts = b"".join(values).hex().encode(), bytearray(b"-" * (36 * n))  # type: ignore[arg-type]
    for place, to in enumerate(_DIGITS):
        texts[to::36] = digits[place::32]
    joined = texts.decode()
    return [joined[start : start + 36] for start in range(0, 36 * n, 36)]


class Json(TypeDecorator[Any]):
    """A small JSON document: text on SQLite, jsonb on PostgreSQL. Numbers in it are not for sums.

    Values and dataclasses go in, values come out.
    """

    impl = Text
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(JSONB())
        return dialect.type_descriptor(Text())

    # On SQLite whole conversions, as above; PostgreSQL's type has conversions of its own.
    @override
    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return super().bind_processor(dialect) if dialect.name == "postgresql" else _to_json

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        return super().result_processor(dialect, coltype) if dialect.name == "postgresql" else _from_json


def _to_json(value: Any) -> str | None:
    return None if value is None else to_json(value)


def _from_json(value: str | None) -> Any:
    return None if value is None else msgspec.json.decode(value)


def to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def one_spelling(value: Any) -> Any:
    """What both databases make of a JSON value alike: whole numbers without point and exponent, 0 without a sign.

    PostgreSQL makes 100000 of 1e5, where SQLite keeps what was written; and it goes by the digits: those of 2.0**60 are
    1.152921504606847e+18, of which it makes a whole number that ends in 000.
    """
    if isinstance(value, float):
        return int(Decimal(repr(value))) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {name: one_spelling(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [one_spelling(inner) for inner in value]
    return value


class Bytes(TypeDecorator[bytes]):
    """Bytes as they came. psycopg hands out bytes already; sqlite3 too."""

    impl = LargeBinary
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BYTEA() if dialect.name == "postgresql" else LargeBinary())

    # SQLAlchemy would wrap each value, for drivers that need it.
    @override
    def bind_processor(self, dialect: Dialect) -> None:
        return None

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        return None
