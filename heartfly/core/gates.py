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


_COMPARE = {
    Op.GT: Decimal.__gt__,
    Op.GE: Decimal.__ge__,
    Op.LT: Decimal.__lt__,
    Op.LE: Decimal.__le__,
    Op.EQ: Decimal.__eq__,
    Op.NE: Decimal.__ne__,
}


def broken(gates: Sequence[Gate], metrics: Mapping[str, Decimal]) -> tuple[Gate, ...]:
    return tuple(gate for gate in gates if not gate.holds(metrics))


def worst(gates: Sequence[Gate]) -> Level | None:
    """The level that counts among broken gates; None when there are none."""
    if not gates:
        return None
    return Level.FAIL if any(gate.level is Level.FAIL for gate in gates) else Level.WARN
