"""Of which kind a signal is, once the methods and the keywords of its check have had their say."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from heartfly.core.filters import Filters, resolve
from heartfly.core.words import PingKind
from heartfly.pings.by_mail import kind_of
from heartfly.pings.request import PingRequest


def kind_for(request: PingRequest, row: Any) -> PingKind:
    """`row`: of the check."""
    if request.mail is not None:
        return kind_of(request.kind, request.mail, row, _filters(row.filters))
    return resolve(
        request.kind,
        exit_status=request.exit_status,
        method=request.method,
        body=b"\n".join((request.body, request.body_end)) if request.body_end else request.body,
        methods=row.methods,
        filters=_filters(row.filters),
    )


@lru_cache(maxsize=4096)
def _filters(text: str) -> Filters | None:
    return msgspec.json.decode(text, type=Filters) if text else None
