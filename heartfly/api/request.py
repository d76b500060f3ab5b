"""A request of the native API: whose it is, what it may use, and its body, decoded by our own rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, cast

from litestar import Request
from litestar.datastructures import State
from litestar.params import HeaderParameter
from typing_extensions import override

from heartfly.accounts.guards import PACE
from heartfly.accounts.keys import Caller, Scope
from heartfly.accounts.rights import demand_key
from heartfly.api.body import decode
from heartfly.api.state import ApiState
from heartfly.audit.record import Actor
from heartfly.db.changes import Tx
from heartfly.errors import InvalidValueError

Result = TypeVar("Result")

_ETAG = re.compile(r'\s*"(\d{1,18})"\s*', re.ASCII)

STATE, GUARD = "heartfly.state", "heartfly.guard"
"""In a request's scope: what its routes work on, and who asks for its key."""

IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="Its ETag as you read it; 412 if it has changed since."),
]


class ApiRequest(Request[None, Caller, State]):
    @property
    def api(self) -> ApiState:
        state: ApiState = cast("dict[str, Any]", self.scope)[STATE]
        return state

    @property
    def caller(self) -> Caller:
        caller: Caller = self.scope["auth"]
        return caller

    @property
    def actor(self) -> Actor:
        """Who will have changed what this request changes."""
        return Actor(self.caller.actor, self.api.client_address(self.scope)[0] or None)

    def demand_pace(self, n_events: int) -> None:
        """Of a route that takes events, once it is known how many there are. TooManyRequestsError."""
        cast("dict[str, Any]", self.scope)[PACE](n_events)

    @property
    def may_write(self) -> bool:
        return Scope.WRITE in self.caller.scopes

    async def administer(self, work: Callable[[Tx], Result]) -> Result:
        """Write what needs the scope `admin`, which is asked for once more in the transaction itself."""
        caller, at = self.caller, self.api.clock.now()

        def asked_again(tx: Tx) -> Result:
            demand_key(tx, caller, at=at)
            return work(tx)

        return await self.api.database.write(asked_again)

    @override
    async def json(self) -> Any:
        """The body as the handler's `data` is annotated. The framework's own decoder answers 500 to hostile input."""
        field = self.route_handler.parsed_data_field
        assert field is not None
        raw = await self.body()
        if not raw and field.has_default:
            return field.default
        return decode(raw, field.annotation)


def etag(rev: int) -> str:
    return f'"{rev}"'


def rev_of(if_match: str | None) -> int | None:
    """The revision that the caller saw; None: any will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    known = _ETAG.fullmatch(if_match)
    if known is None:
        raise InvalidValueError("If-Match", 'must be an ETag as it was given, such as "17"')
    return int(known[1])
