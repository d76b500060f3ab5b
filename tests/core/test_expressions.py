"""Expressions are read once, say where they are wrong, and are worked out exactly."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.amounts import LIMIT, ONE, amount, text_of
from heartfly.core.expressions import parse
from heartfly.errors import InvalidValueError


def worked_out(text: str, **values: str) -> str | None:
    amounts = {name: amount(value) for name, value in values.items()}
    found = parse(text).of({name: value for name, value in amounts.items() if value is not None})
    return None if found is None else text_of(found)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a", "3"),
        ("a * b", "4.5"),
        (" a*b - 2 ", "2.5"),
        ("2 + a * b", "6.5"),
        ("(2 + a) * b", "7.5"),
        ("-a", "-3"),
        ("a - -b", "4.5"),
        ("-(a - b) * 2", "-3"),
        ("a - b - 1", "0.5"),
        ("0.000000001 * a", "0.000000003"),
        ("a * a * a * a * a * a * a * a * a * a", "59049"),
    ],
)
def test_it_is_worked_out_as_one_reads_it(text: str, result: str) -> None:
    assert result == worked_out(text, a="3", b="1.5")


def test_a_property_may_lie_within_or_have_a_name_that_is_no_word() -> None:
    found = parse('request.size + "content-length" + request.size')

    assert ("request.size", "content-length") == found.names
    assert 5 * ONE == found.of({"request.size": 2 * ONE, "content-length": ONE})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="b"):
        worked_out("a + b", a="1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a property, a number or a parenthesis at character 1"),
        ("a +", "expected a property, a number or a parenthesis at character 4"),
        ("a b", "expected an operator or the end at character 3"),
        ("a / b", "expected a property, a number, + - * or a parenthesis at character 3"),
        ("a  ?", "at character 4"),
        ("(a", "expected a closing parenthesis at character 3"),
        ("a)", "expected an operator or the end at character 2"),
        ("a * 1e3", "expected a number of at most 20 digits with at most 18 places at character 5"),
        ("1 + 2", "names no property"),
        ("a" * 501, "is longer than 500 characters"),
        ("(" * 30 + "a" + ")" * 30, "is nested more than 20 deep"),
        ("-" * 40 + "a", "is nested more than 20 deep"),
        (" + ".join(f"a{n}" for n in range(21)), "names more than 20 properties"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidValueError, match="value") as raised:
        parse(text)
    assert said in raised.value.message


def test_the_field_is_the_callers() -> None:
    with pytest.raises(InvalidValueError) as raised:
        parse("", "meter.value")
    assert "meter.value" == raised.value.field


def test_what_is_no_amount_any_more_is_none() -> None:
    largest = "99999999999999999999.999999999999999999"
    assert None is worked_out("a * a", a=largest)
    assert None is worked_out("a + 1", a=largest)
    assert None is worked_out("-a - 1", a=largest)
    assert None is worked_out("a * 0.1", a="0.000000000000000001")
    assert "0.0000000000000001" == worked_out("a * 100", a="0.000000000000000001")
    assert "0" == worked_out("a * a - a * a", a="0.123456789012345678")


@given(*[st.integers(-(10**24), 10**24)] * 3)
def test_it_equals_the_same_in_fractions(a: int, b: int, c: int) -> None:
    found = parse("a * b - c * (a + 2.5)").of({"a": a, "b": b, "c": c})
    x, y, z = (Fraction(value, ONE) for value in (a, b, c))
    exact = (x * y - z * (x + Fraction(5, 2))) * ONE

    assert found == (int(exact) if exact.denominator == 1 and abs(exact) < LIMIT else None)


def test_a_float_would_have_been_wrong() -> None:
    with localcontext() as context:
        context.prec = 60
        exact = Decimal("1234567.891") * Decimal("0.000000123")
    assert format(exact, "f") == worked_out("a * b", a="1234567.891", b="0.000000123")
