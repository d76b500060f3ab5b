"""Whose calls these are, and which call is under way: for this task or thread, and what is begun in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from heartfly_client.calls.call import Call


class Who(NamedTuple):
    customer: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()


_NOBODY = Who()
_who: ContextVar[Who] = ContextVar("heartfly_calls_who", default=_NOBODY)
current: ContextVar[Call | None] = ContextVar("heartfly_calls_current", default=None)


def who() -> Who:
    return _who.get()


@contextmanager
def calls_of(customer: str | None = None, *, user: str | None = None, tags: Sequence[str] = ()) -> Iterator[None]:
    """Within it calls are theirs, unless they say otherwise. Tags are added to those around it."""
    before = _who.get()
    token = _who.set(Who(customer or before.customer, user or before.user, (*before.tags, *tags)))
    try:
        yield
    finally:
        _who.reset(token)
