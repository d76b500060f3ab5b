"""What people may aim at for a check, and how it is stored: JSON, empty where nothing is. See core/slo.py."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from heartfly.core.slo import DAYS, USUAL_DAYS, Slo
from heartfly.errors import InvalidValueError

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?", re.ASCII)


class SloIn(msgspec.Struct, forbid_unknown_fields=True):
    """Which percentage of its runs shall come in time, and which of those that came go well, over so many days."""

    on_time: str | int | None = None
    success: str | int | None = None
    days: int = USUAL_DAYS


def slo_of(stored: str) -> Slo | None:
    return msgspec.json.decode(stored, type=Slo) if stored else None


def slo_in(stored: str) -> SloIn | None:
    """As it is asked for; None: there is none."""
    found = slo_of(stored)
    if found is None:
        return None
    on_time, success = (None if one is None else f"{one:f}" for one in (found.on_time, found.success))
    return SloIn(on_time=on_time, success=success, days=found.days)


def to_store(asked: SloIn | None) -> str:
    if asked is None:
        return ""
    if asked.days not in DAYS:
        raise InvalidValueError("slo.days", f"must be one of {', '.join(map(str, DAYS))}")
    found = Slo(
        on_time=_percent(asked.on_time, "slo.on_time"), success=_percent(asked.success, "slo.success"), days=asked.days
    )
    if found.on_time is None and found.success is None:
        raise InvalidValueError("slo.on_time", "is required, or success; null in the place of slo sets none")
    return msgspec.json.encode(found).decode()


def _percent(asked: str | int | None, field: str) -> Decimal | None:
    """With the zeros at its end left out, so that two that mean the same are equal."""
    if asked is None:
        return None
    if _PERCENT.fullmatch(str(asked)) is None or not 0 < Decimal(asked) <= 100:
        raise InvalidValueError(field, "must be more than 0 and at most 100, with at most three decimals")
    return Decimal(f"{Decimal(asked).normalize():f}")
