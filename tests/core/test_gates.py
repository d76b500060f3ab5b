from __future__ import annotations

from decimal import Decimal

import pytest

from heartfly.core.gates import Broken, Gate, Level, Op, broken, worst


def gate(op: Op = Op.GT, value: str = "10", level: Level = Level.FAIL, metric: str = "rows") -> Gate:
    return Gate(metric, op, Decimal(value), level)


@pytest.mark.parametrize(
    ("op", "below", "equal", "above"),
    [
        (Op.GT, False, False, True),
        (Op.GE, False, True, True),
        (Op.LT, True, False, False),
        (Op.LE, True, True, False),
        (Op.EQ, False, True, False),
        (Op.NE, True, False, True),
    ],
    ids=lambda value: value.name if isinstance(value, Op) else str(value),
)
def test_each_comparison_holds_where_it_says(op: Op, *, below: bool, equal: bool, above: bool) -> None:
    holds = [gate(op).holds({"rows": Decimal(rows)}) for rows in ("9.999999999999999999", "10.0", "10.000000000001")]

    assert [below, equal, above] == holds


@pytest.mark.parametrize("op", list(Op))
def test_a_figure_that_was_not_reported_breaks_every_gate(op: Op) -> None:
    assert not gate(op).holds({"bytes": Decimal(10)})


def test_zero_is_a_figure() -> None:
    assert gate(Op.EQ, "0").holds({"rows": Decimal(0)})


def test_the_broken_gates_are_named_in_their_order() -> None:
    gates = (gate(Op.GT, "10"), gate(Op.GT, "1"), gate(metric="bytes"))

    found = broken(gates, {"rows": Decimal("5.0")})

    assert (Broken(gates[0], Decimal(5)), Broken(gates[2], None)) == found
    assert ["rows is 5.0, expected > 10", "bytes was not reported, expected > 10"] == [one.words() for one in found]


def test_without_gates_nothing_is_broken() -> None:
    assert not broken((), {})
    assert worst(()) is None


def test_a_gate_that_fails_outweighs_those_that_warn() -> None:
    warn, fail = Broken(gate(level=Level.WARN), None), Broken(gate(level=Level.FAIL), None)

    assert [Level.WARN, Level.FAIL, Level.FAIL] == [worst([warn]), worst([fail]), worst([warn, fail, warn])]
