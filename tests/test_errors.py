"""Errors of ours, whatever they are made of, are the same where they come out of another process."""

from __future__ import annotations

import pickle

import pytest

from heartfly.errors import (
    ConflictError,
    DeliveryError,
    HeartflyError,
    InvalidValueError,
    LimitError,
    NotFoundError,
    OverloadedError,
    TooManyRequestsError,
)

WRONG = InvalidValueError("amount", "must be a number", others=[InvalidValueError("unit", "is missing")])
ALL = [
    WRONG,
    NotFoundError("there is no such check"),
    ConflictError("it is paused"),
    LimitError("checks:", 7, "limits.checks"),
    OverloadedError("come again", retry_after=9),
    TooManyRequestsError("too often", retry_after=60),
    DeliveryError("refused", permanent=True, code=410, reply="gone"),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_its_way_between_processes(error: HeartflyError) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error)) == (type(again), str(again))
    mine, theirs = ({name: repr(value) for name, value in vars(one).items()} for one in (error, again))
    assert mine == theirs
