"""A meter asked of an event, by other means than core/meters.py: what reconcile.py works a day out with once more.

Expressions are read by Python's own parser and worked out in Decimal; filters are looked at anew.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal, Inexact
from enum import IntEnum
from typing import Any

from heartfly.core.meters import Meter, PropertyFilter
from heartfly.core.versions import Version, in_force

WIDE = Context(prec=1_000, traps=[Inexact])
_GRAMMAR = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,18})?")
_LINES = re.compile(f"(?:{_GRAMMAR.pattern}\n)*{_GRAMMAR.pattern}")
_TOKEN = re.compile(r'"([^"]+)"|([A-Za-z_]\w*(?:\.\w+)*)|(\d[\d.]*)|([-+*()])|\s+', re.ASCII)
_MOST = Decimal(10) ** 20


class Lacks(IntEnum):
    """Why an event that a meter looks at adds nothing: a property is not there, or it is no amount."""

    PROPERTY = 0
    AMOUNT = 1


class Lookers:
    """Which versions count an event of a type at an instant."""

    def __init__(self, versions: Iterable[Version], from_at: datetime, to_at: datetime) -> None:
        """Events are of [from_at, to_at)."""
        self._of_meter: dict[int, list[Version]] = {}
        self._questions: dict[int, Question] = {}
        edges: set[datetime] = set()
        for version in versions:
            self._of_meter.setdefault(version.meter_id, []).append(version)
            self._questions[version.id] = Question(version.meter)
            edges |= {at for at in (version.from_at, version.to_at, version.archived_at) if at is not None}
        self.edges = sorted(at for at in edges if from_at < at < to_at)
        """When another version begins to hold. Where there are none, the time of an event does not matter."""
        self._known: dict[tuple[str, int], list[tuple[int, Question]]] = {}

    def of(self, type_: str, at: datetime) -> list[tuple[int, Question]]:
        place = bisect_right(self.edges, at)  # between two edges the same versions hold
        found = self._known.get((type_, place))
        if found is None:
            holding = [in_force(some, at) for some in self._of_meter.values()]
            looking = [one for one in holding if one is not None and type_ in one.meter.types]
            found = [(one.id, self._questions[one.id]) for one in looking]
            self._known[type_, place] = found
        return found


class Question:
    """A meter, asked of one event after the other."""

    def __init__(self, meter: Meter) -> None:
        self._filters = meter.filters
        self.tells_apart = bool(meter.of)
        self._unique = meter.of
        self._names: list[str] = []
        self._tree: ast.expr | None = None if meter.value is None else self._parsed(meter.value.text)
        self._is_alone = isinstance(self._tree, ast.Name)

    def ask(self, values: Mapping[str, Any]) -> Decimal | str | Lacks | None:
        """The amount; or what is told apart; or an empty text, where events are counted. None: it is not concerned."""
        for one in self._filters:
            if not _holds(one, values):
                return None
        if self._unique:
            text = _at(values, self._unique)
            return Lacks.PROPERTY if text is None else text
        if self._tree is None:
            return ""
        amounts = []
        for name in self._names:
            text = _at(values, name)
            if text is None:
                return Lacks.PROPERTY
            if not _GRAMMAR.fullmatch(text):
                return Lacks.AMOUNT
            amounts.append(Decimal(text))
        if self._is_alone:
            return amounts[0]  # within the grammar: it has no more digits than an amount may have, nor more places
        result = _worked_out(self._tree, amounts)
        return Lacks.AMOUNT if result.copy_abs() >= _MOST or _has_more_places(result) else result

    def ask_all(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Decimal | str | Lacks | None]:
        """As `ask`, of each; where many are asked for one property as it stands, all of them at once."""
        if self._is_alone and not self._filters:
            texts = [row.get(self._names[0]) for row in rows]
            if all(map(_is_text, texts)):
                joined = "\n".join(texts)  # type: ignore[arg-type]
                if joined.count("\n") == len(texts) - 1 and _LINES.fullmatch(joined):
                    return list(map(Decimal, texts))  # type: ignore[arg-type]
        if self._tree is None and not self._unique and not self._filters:
            return [""] * len(rows)
        return [self.ask(row) for row in rows]

    def _parsed(self, text: str) -> ast.expr:
        """Properties become names that Python has, and its own parser reads the rest."""
        written = []
        for quoted, name, number, sign in _TOKEN.findall(text):
            if number:
                written.append(f"'{number}'")
            elif sign:
                written.append(sign)
            elif quoted or name:
                self._names.append(quoted or name)
                written.append(f"v{len(self._names) - 1}")
        return ast.parse("".join(written), mode="eval").body


def _has_more_places(result: Decimal) -> bool:
    whole = result.scaleb(18, WIDE)
    return whole != whole.to_integral_value()


def _worked_out(tree: ast.expr, amounts: list[Decimal]) -> Decimal:
    match tree:
        case ast.Name(id=name):
            return amounts[int(name[1:])]
        case ast.Constant(value=str() as number):
            return Decimal(number)
        case ast.UnaryOp(operand=inner):
            return _worked_out(inner, amounts).copy_negate()
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATIONS[type(op)](_worked_out(left, amounts), _worked_out(right, amounts))
        case _:
            raise AssertionError(f"no expression of a meter: {ast.dump(tree)}")


_OPERATIONS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: WIDE.add,
    ast.Sub: WIDE.subtract,
    ast.Mult: WIDE.multiply,
}


def _is_text(value: Any) -> bool:
    return value.__class__ is str


def _at(values: Mapping[str, Any], path: str) -> str | None:
    found = values.get(path)
    if found is None and "." in path:
        found = values
        for step in path.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    if found is True or found is False:
        return str(found).lower()
    return found if isinstance(found, str) else None


def _holds(one: PropertyFilter, values: Mapping[str, Any]) -> bool:
    text = _at(values, one.name)
    if one.exists is True and text is None:
        return False
    if one.exists is False and text is not None:
        return False
    if one.any_of and (text is None or text not in one.any_of):
        return False
    return text not in one.none_of
