"""Whom a limit is for, and which of two is the more special."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.limits.scope import (
    DIMENSIONS,
    Call,
    Scope,
    counters_for,
    is_more_special,
    scope_of,
    tags_of,
    written,
)
from heartfly.errors import InvalidValueError

CALL = Call("openai", "gpt-5", "k-1", "acme", "ann", ("batch", "eu"))


def test_a_scope_that_says_nothing_is_for_every_call_with_one_counter() -> None:
    assert [()] == counters_for(scope_of({}), CALL)
    assert [()] == counters_for(scope_of({"provider": "*"}), Call())


def test_a_value_is_for_its_calls_only() -> None:
    assert [()] == counters_for(scope_of({"provider": "openai"}), CALL)
    assert [] == counters_for(scope_of({"provider": "other"}), CALL)
    assert [] == counters_for(scope_of({"provider": "openai"}), Call())


def test_each_has_a_counter_for_each_value_and_none_for_who_does_not_say_his() -> None:
    assert [("acme",)] == counters_for(scope_of({"customer": "each"}), CALL)
    assert [] == counters_for(scope_of({"customer": "each"}), Call(provider="openai"))
    assert [("gpt-5", "ann")] == counters_for(scope_of({"user": "each", "model": "each"}), CALL)


def test_a_call_with_two_tags_goes_to_the_counters_of_both() -> None:
    assert [("batch",), ("eu",)] == counters_for(scope_of({"tag": "each"}), CALL)
    assert [()] == counters_for(scope_of({"tag": "eu"}), CALL)
    assert [] == counters_for(scope_of({"tag": "us"}), CALL)


@pytest.mark.parametrize("text", ["each", "*", "=", "=each", "plain"])
def test_whatever_somebody_is_called_can_be_a_value(text: str) -> None:
    scope: Scope = (("customer", text),)

    assert scope == scope_of(written(scope))


def test_what_is_set_stands_in_one_order_however_it_was_said() -> None:
    assert (("provider", "a"), ("tag", None)) == scope_of({"tag": "each", "provider": "a", "user": "*"})


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"planet": "x"}, "scope.planet"),
        ({"user": ""}, "scope.user"),
        ({"model": "x" * 257}, "scope.model"),
        ({"key": "a\nb"}, "scope.key"),
        ({"tag": "="}, "scope.tag"),
    ],
)
def test_what_is_no_scope_is_named(given_: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidValueError) as told:
        scope_of(given_)

    assert field == told.value.field


def test_tags_are_once_each_in_order() -> None:
    assert ("a", "b") == tags_of(["b", "", "a", "b"])


def test_who_is_named_is_more_special_than_each_and_each_than_all() -> None:
    everybody, each, acme = scope_of({}), scope_of({"customer": "each"}), scope_of({"customer": "acme"})

    assert (True, True, True) == tuple(
        is_more_special(one, other) for one, other in ((each, everybody), (acme, each), (acme, everybody))
    )
    assert not any(is_more_special(other, one) for one, other in ((each, everybody), (acme, each), (acme, acme)))


def test_of_two_that_say_different_things_neither_is_more_special() -> None:
    provider, customer = scope_of({"provider": "openai"}), scope_of({"customer": "each"})
    other = scope_of({"provider": "other"})

    assert not is_more_special(provider, customer)
    assert not is_more_special(customer, provider)
    assert not is_more_special(provider, other)
    assert is_more_special(scope_of({"provider": "openai", "customer": "each"}), provider)


SCOPES = st.lists(st.sampled_from([None, "each", "a", "b"]), min_size=6, max_size=6).map(
    lambda values: scope_of({name: value for name, value in zip(DIMENSIONS, values, strict=True) if value})
)
CALLS = st.builds(
    Call,
    *([st.sampled_from(["", "a", "b"])] * 5),
    st.lists(st.sampled_from(["a", "b"]), unique=True).map(tags_of),
)


@given(SCOPES, SCOPES, SCOPES, CALLS)
def test_more_special_is_an_order_and_whatever_fits_the_special_fits_the_general(
    one: Scope, other: Scope, third: Scope, call: Call
) -> None:
    if is_more_special(one, other):
        assert not is_more_special(other, one)
        if counters_for(one, call):
            assert counters_for(other, call)
        if is_more_special(other, third):
            assert is_more_special(one, third)
