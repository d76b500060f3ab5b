"""Errors of ours, whatever they are made of, are the same where they come out of another process.

What the machine has no more of is nobody's fault, and who asked may come again.
"""

from __future__ import annotations

import errno
import pickle
import threading

import pytest

from heartfly.api import problems
from heartfly.errors import (
    ConflictError,
    DeliveryError,
    HeartflyError,
    InvalidValueError,
    LimitError,
    NotFoundError,
    OverloadedError,
    TooManyRequestsError,
    run_out,
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


def test_who_asks_for_what_there_is_no_memory_for_may_come_again() -> None:
    for error in (MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")):
        problem, headers = problems.of_error(error)

        assert (503, {"Retry-After": "5"}) == (problem.status, headers)
    assert run_out(OSError(errno.ENOENT, "No such file or directory")) is None


def test_a_thread_that_cannot_be_begun_is_told_by_cpythons_words() -> None:
    most = threading.stack_size(1 << 50)  # more than any machine maps
    try:
        with pytest.raises(RuntimeError) as raised:
            threading.Thread(target=print).start()
    finally:
        threading.stack_size(most)

    assert run_out(raised.value) is not None
    assert run_out(RuntimeError("a fault of ours")) is None
