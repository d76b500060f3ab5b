"""An event that another maker's call takes back or sets right: our corrections, in one transaction each.

What a correction is, and which events take one, is decided in usage/corrections.py; here only the call is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heartfly.api.request import ApiRequest
from heartfly.usage import corrections
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.correction_queries import Known, known_event
from heartfly.usage.corrections import Amended


async def known(request: ApiRequest, transaction_id: str) -> Known:
    """NotFoundError."""
    async with request.api.usage.read() as read:
        return await known_event(read, request.caller.pid, transaction_id)


async def void(request: ApiRequest, transaction_id: str, *, reason: str) -> None:
    """NotFoundError; ConflictError: it cannot be changed any more. One that is void already stays so."""
    api, pid, actor, at = request.api, request.caller.pid, request.actor, request.api.clock.now()
    await api.usage.write(
        lambda tx: corrections.void(tx, pid, transaction_id, reason=reason, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)


async def amend(request: ApiRequest, transaction_id: str, fields: Mapping[str, Any], *, reason: str) -> None:
    """`fields`: by the names of ours. InvalidValueError names one of them; NotFoundError; ConflictError."""
    api, pid, actor, at = request.api, request.caller.pid, request.actor, request.api.clock.now()
    oldest, wanted = api.events.oldest(), Amended(fields)
    await api.usage.write(
        lambda tx: corrections.amend(
            tx, pid, transaction_id, wanted, reason=reason, oldest=oldest, actor=actor, at=at, ids=api.ids
        )
    )
    await carry_or_wait(api.usage, api.database)
