"""Times as other makers' events tell them: seconds since 1970, as an instant that is written as ours are."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from heartfly.core.amounts import Number
from heartfly.db.types import EPOCH

_SECONDS = re.compile(r"(\d{1,11})(?:\.(\d{1,18}))?", re.ASCII)


def instant_of_seconds(found: Any) -> Any:
    """RFC 3339 of a number of seconds, or of a text that is one; what is neither is told further on, as it is.

    To the microsecond, without passing through a float.
    """
    if not isinstance(found, (str, Number)):
        return found
    parts = _SECONDS.fullmatch(str(found))
    if parts is None:
        return str(found)
    micros = int((parts[2] or "0")[:6].ljust(6, "0"))
    try:
        return (EPOCH + timedelta(seconds=int(parts[1]), microseconds=micros)).isoformat()
    except OverflowError:
        return str(found)
