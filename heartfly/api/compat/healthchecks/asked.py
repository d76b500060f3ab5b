"""What a call asks and what it is answered: the values that the door and its routes share.

How errors are worded stands here, too; which call goes where, in door.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from heartfly.accounts.keys import Caller, Scope
from heartfly.api.state import ApiState
from heartfly.audit.record import Actor
from heartfly.errors import HeartflyError
from heartfly.public.badges import Badges

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Access(Enum):
    """Who may: anybody, a key that may read, a key that may write."""

    ANYBODY = 0
    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    body: bytes = b""
    media_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


class SaidNoError(HeartflyError):
    """The call is refused, with this answer. From within a transaction nothing of it is kept."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"answered with {answer.status}")
        self.answer = answer


def told(value: Any, *, status: int = 200) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(value), media_type=JSON)


def no(status: int, text: str) -> SaidNoError:
    return SaidNoError(told({"error": text}, status=status))


def not_found() -> SaidNoError:
    """There is nothing, or it is another project's."""
    return no(404, "not found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`parts`: of the path. `headers`: by lower-case name. `body`: of a POST, `{}` if there was none."""

    api: ApiState
    badges: Badges
    recognise: Callable[[str], Awaitable[Caller]]
    """Whose a key is. UnauthenticatedError."""
    version: int
    parts: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    remote: str
    whose: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Of a route that is not for anybody."""
        assert self.whose is not None
        return self.whose

    @property
    def actor(self) -> Actor:
        return Actor(self.caller.actor, self.remote or None)

    @property
    def may_write(self) -> bool:
        return Scope.WRITE in self.caller.scopes


Handler = Callable[[Asked], Awaitable[Answer]]
Methods = Mapping[str, tuple[Handler, Access]]
