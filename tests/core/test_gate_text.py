from __future__ import annotations

import pytest

from heartfly.core.gate_text import MOST_CHARS, Parts, gate_of, gate_of_text, written
from heartfly.core.gates import Level
from heartfly.errors import InvalidValueError

LINES = [
    "rows > 0",
    "errors.total == -0.50",
    "rejected / events < 1%",
    "rows_out / rows_in == 1",
    "duration < 15m",
    "duration < 15",
    "events within 40% of median(same weekday, 4 weeks)",
    "events within 0.5% of median(1 week)",
    "rejected / events within 50% of median(last 20 runs)",
    "coverage unbroken",
    "coverage > 90",
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("level", list(Level))
def test_what_is_written_is_what_is_shown(line: str, level: Level) -> None:
    gate = gate_of_text(f"{line} {level}", field="gates[0]")

    assert (line, level) == (gate.text, gate.level)
    assert gate == gate_of(written(gate), field="gates[0]")


@pytest.mark.parametrize(
    ("written_so", "shown"),
    [
        ("  rows>=10 ", "rows >= 10"),
        ("rejected/events<1 %", None),
        ("rejected/events<1%", "rejected / events < 1%"),
        (
            "events  within 40%  of  median( same weekday , 4 weeks )",
            "events within 40% of median(same weekday, 4 weeks)",
        ),
        ("events within 40% of median (last 7 runs)", "events within 40% of median(last 7 runs)"),
    ],
)
def test_white_space_is_free_where_it_parts_nothing(written_so: str, shown: str | None) -> None:
    if shown is None:
        with pytest.raises(InvalidValueError):
            gate_of_text(written_so, field="gates[0]")
    else:
        gate = gate_of_text(written_so, field="gates[0]")
        assert (shown, Level.FAIL) == (gate.text, gate.level)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense", "must look like rows > 0"),
        ("rows ~ 10", "must look like rows > 0"),
        ("rows > 0 alarm", "must look like rows > 0"),
        ("rows > 0" + " " * MOST_CHARS + "warn", "must look like rows > 0"),
        ("rows > ten", "value must be an exact decimal"),
        ("rows > 1e9", "value must be an exact decimal"),
        ("9lives > 1", "metric must be a name such as rows_out"),
        ("a / 9lives > 1", "over must be a name such as rows_out"),
        ("a / a < 1", "over must be another figure"),
        ("rows < 1%", "value must be without %"),
        ("rows < 15m", "value must be without a unit of time"),
        ("duration / rows < 15m", "value must be without a unit of time"),
        ("duration < 15min", "value must have a unit that is one of ms, s, m, h, d"),
        ("events within 40 of median(4 weeks)", "value must be a percentage"),
        ("events within 0% of median(4 weeks)", "value must be a percentage"),
        ("events within 1001% of median(4 weeks)", "value must be a percentage"),
        ("events within x of median(4 weeks)", "value must be a percentage"),
        ("events within 40% of median(some days)", "of must be median(same weekday, 4 weeks)"),
        ("events within 40% of median(same weekday, 2 weeks)", "of must look at 3 to 12 weeks"),
        ("events within 40% of median(13 weeks)", "of must look at 1 to 12 weeks"),
        ("events within 40% of median(last 6 runs)", "of must look at the last 7 to 200 runs"),
        ("rows unbroken", "metric must be coverage"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(line: str, told: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        gate_of_text(line, field="gates[3]")

    assert "gates[3]" == refused.value.field
    assert refused.value.message.startswith(told)


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        (Parts(metric="rows", op="~", value="1"), "gates[0]"),
        (Parts(metric="rows", op=">", value="1", level="alarm"), "gates[0]"),
        (Parts(metric="", op=">", value="1"), "gates[0].metric"),
        (Parts(metric="rows", op=">", value=""), "gates[0].value"),
        (Parts(metric="rows", op=">", value="1", of="median(4 weeks)"), "gates[0].of"),
        (Parts(metric="rows", op="within", value="4%"), "gates[0].of"),
        (Parts(metric="coverage", op="unbroken", value="1"), "gates[0].value"),
        (Parts(metric="coverage", op="unbroken", over="rows"), "gates[0].over"),
        (Parts(metric="coverage", op="unbroken", of="median(4 weeks)"), "gates[0].of"),
    ],
    ids=str,
)
def test_part_by_part_the_part_is_named(parts: Parts, field: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        gate_of(parts, field="gates[0]")

    assert field == refused.value.field
