"""Expressions over an event's properties, such as `num_recipients * size`: read once, worked out exactly.

Sums, differences and products of properties and constants. There is no division: hardly any quotient has an end, and
an amount that was rounded is not what was used. A property whose name is no word stands in quotes: `"content-length"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heartfly.core.amounts import LIMIT, ONE, Amount, amount
from heartfly.errors import InvalidValueError

MAX_LENGTH = 500
MAX_NAMES = 20
_MAX_DEPTH = 20

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d[\w.]*)|(?P<name>[A-Za-z_]\w*(?:\.\w+)*)|"(?P<quoted>[^"]+)"|(?P<sign>[-+*()])|(?P<end>$))""",
    re.ASCII,
)

Values = Mapping[str, Amount]
Exact = tuple[int, int]
"""Whole numbers: how many, of which power of 10^-18. A property is (amount, 1), a product of two has the power 2."""


@dataclass(frozen=True, slots=True)
class Expression:
    """`names`: the properties that it needs, in the order of their first use."""

    text: str
    names: tuple[str, ...]
    _work_out: Callable[[Values], Exact]
    is_name: bool = False
    """It is the amount of one property, as it stands."""

    def of(self, values: Values) -> Amount | None:
        """The exact result. None if it has more than 20 digits, or more than 18 places: it is no amount then.

        KeyError: a property is missing.
        """
        found, times = self._work_out(values)
        for _ in range(times - 1):
            found, rest = divmod(found, ONE)
            if rest:
                return None
        return found if -LIMIT < found < LIMIT else None


def parse(text: str, field: str = "value") -> Expression:
    """InvalidValueError names `field` and the place, counted from 1."""
    if len(text) > MAX_LENGTH:
        raise InvalidValueError(field, f"is longer than {MAX_LENGTH} characters")
    reader = _Reader(text, field)
    work_out = reader.sum(0)
    if reader.kind != "end":
        raise reader.wrong("an operator or the end")
    if not reader.names:
        raise InvalidValueError(field, "names no property")
    if len(reader.names) > MAX_NAMES:
        raise InvalidValueError(field, f"names more than {MAX_NAMES} properties")
    is_name = reader.n_tokens == 1
    return Expression(text, tuple(reader.names), work_out, is_name)


class _Reader:
    """Reads from left to right: a sum of products of factors."""

    def __init__(self, text: str, field: str) -> None:
        self._text = text
        self._field = field
        self._next = 0
        self._at = 0
        self.kind = ""
        self._token = ""
        self.names: dict[str, None] = {}
        self.n_tokens = -1  # the end is none
        self._advance()

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._next)
        if found is None:
            rest = self._text[self._next :]
            self._at = self._next + len(rest) - len(rest.lstrip())
            raise self.wrong("a property, a number, + - * or a parenthesis")
        self.n_tokens += 1
        self.kind = found.lastgroup or ""
        self._token = found[self.kind]
        self._at, self._next = found.start(self.kind), found.end()

    def wrong(self, expected: str) -> InvalidValueError:
        return InvalidValueError(self._field, f"expected {expected} at character {self._at + 1}")

    def _takes(self, *signs: str) -> str | None:
        if self.kind != "sign" or self._token not in signs:
            return None
        sign = self._token
        self._advance()
        return sign

    def sum(self, depth: int) -> Callable[[Values], Exact]:
        found = self._product(depth)
        while sign := self._takes("+", "-"):
            found = _added(found, self._product(depth), -1 if sign == "-" else 1)
        return found

    def _product(self, depth: int) -> Callable[[Values], Exact]:
        found = self._factor(depth)
        while self._takes("*"):
            found = _multiplied(found, self._factor(depth))
        return found

    def _factor(self, depth: int) -> Callable[[Values], Exact]:
        if depth > _MAX_DEPTH:
            raise InvalidValueError(self._field, f"is nested more than {_MAX_DEPTH} deep")
        if self._takes("-"):
            return _multiplied(lambda _: (-1, 0), self._factor(depth + 1))
        if self._takes("("):
            found = self.sum(depth + 1)
            if not self._takes(")"):
                raise self.wrong("a closing parenthesis")
            return found
        if self.kind == "number":
            value = amount(self._token)
            if value is None:
                raise self.wrong("a number of at most 20 digits with at most 18 places")
            self._advance()
            return lambda _: (value, 1)
        if self.kind in {"name", "quoted"}:
            name = self._token
            self.names.setdefault(name)
            self._advance()
            return lambda values: (values[name], 1)
        raise self.wrong("a property, a number or a parenthesis")


def _added(one: Callable[[Values], Exact], other: Callable[[Values], Exact], sign: int) -> Callable[[Values], Exact]:
    def work_out(values: Values) -> Exact:
        (a, a_times), (b, b_times) = one(values), other(values)
        times = max(a_times, b_times)
        return a * ONE ** (times - a_times) + sign * b * ONE ** (times - b_times), times

    return work_out


def _multiplied(one: Callable[[Values], Exact], other: Callable[[Values], Exact]) -> Callable[[Values], Exact]:
    def work_out(values: Values) -> Exact:
        (a, a_times), (b, b_times) = one(values), other(values)
        return a * b, a_times + b_times

    return work_out
