"""Gates: conditions on the figures of a run, which fail closed.

A job that ran in time but counted nothing is not well. A gate whose metric was not reported is
broken: silence about a figure proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Level(StrEnum):
    WARN = "warn"  # degraded
    FAIL = "fail"  # down


class Op(StrEnum):
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    EQ = "=="
    NE = "!="


@dataclass(frozen=True, slots=True)
class Gate:
    metric: str
    op: Op
    value: Decimal
    level: Level

    def holds(self, metrics: Mapping[str, Decimal]) -> bool:
        found = metrics.get(self.metric)
        return found is not None and _COMPARE[self.op](found, self.value)


@dataclass(frozen=True, slots=True)
class Broken:
    """A gate and the figure that broke it; None: none was reported."""

    gate: Gate
    found: Decimal | None

    def words(self) -> str:
        found = "was not reported" if self.found is None else f"is {self.found:f}"
        return f"{self.gate.metric} {found}, expected {self.gate.op} {self.gate.value:f}"


_COMPARE = {
    Op.GT: Decimal.__gt__,
    Op.GE: Decimal.__ge__,
    Op.LT: Decimal.__lt__,
    Op.LE: Decimal.__le__,
    Op.EQ: Decimal.__eq__,
    Op.NE: Decimal.__ne__,
}


def broken(gates: Sequence[Gate], metrics: Mapping[str, Decimal]) -> tuple[Broken, ...]:
    return tuple(Broken(gate, metrics.get(gate.metric)) for gate in gates if not gate.holds(metrics))


def worst(found: Sequence[Broken]) -> Level | None:
    """The level that counts among broken gates; None when there are none."""
    if not found:
        return None
    return Level.FAIL if any(one.gate.level is Level.FAIL for one in found) else Level.WARN
