"""What a provider says of its own limits in an answer's headers, as properties `ratelimit.<what>.limit`, `remaining`
and `reset`; the last is an instant, however it was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_NAME = re.compile(
    r"(?:x-|anthropic-)?rate-?limit-(?:(?P<kind>[a-z-]{1,40})-)?(?P<what>limit|remaining|reset)(?:-(?P<of>[a-z-]{1,40}))?",
    re.ASCII,
)
_FIRST_NUMBER = re.compile(r"\s*(\d{1,18})(?:\.\d+)?\s*(?:[,;].*)?", re.ASCII)
_SPAN = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,6}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?")
_ITEM = re.compile(r'\s*"(?P<name>[^"]{1,40})"(?P<rest>(?:\s*;\s*[a-z]+=\d{1,18})*)\s*', re.ASCII)
_FIELD = re.compile(r"([a-z]+)=(\d{1,18})")
_AN_EPOCH = 1_000_000_000
_MOST = 16
_WORD = re.compile(r"[^a-z0-9]+")


def limits_in(headers: Iterable[tuple[str, str]], at: datetime) -> dict[str, str]:
    """`at`: when the answer came, aware. Of `x-ratelimit-*`, `ratelimit-*`, `anthropic-ratelimit-*`, `ratelimit`,
    `ratelimit-policy` and `retry-after`; what cannot be read is left out.
    """
    found: dict[str, str] = {}
    for given, value in headers:
        name = given.lower()
        if "limit" not in name and name != "retry-after":
            continue
        if name == "retry-after":
            if (until := _instant(value, at)) is not None:
                found["ratelimit.retry_at"] = until
        elif name in {"ratelimit", "ratelimit-policy"}:
            found |= _structured(value, at)
        elif (fit := _NAME.fullmatch(name)) is not None:
            text = _instant(value, at) if fit["what"] == "reset" else _number(value)
            if text is not None:
                found[f"ratelimit.{_kind(fit['kind'] or fit['of'])}.{fit['what']}"] = text
    return dict(list(found.items())[:_MOST])


def _kind(text: str | None) -> str:
    return _WORD.sub("_", text or "requests")


def _number(value: str) -> str | None:
    fit = _FIRST_NUMBER.fullmatch(value)
    return fit[1] if fit is not None else None


def _structured(value: str, at: datetime) -> dict[str, str]:
    """`"default";r=50;t=30` and `"default";q=100;w=60`, as the draft of the IETF writes them."""
    found: dict[str, str] = {}
    for item in value.split(","):
        if (fit := _ITEM.fullmatch(item)) is None:
            continue
        kind = _WORD.sub("_", fit["name"].lower()).strip("_")
        kind = "requests" if kind in {"", "default"} else kind
        for name, number in _FIELD.findall(fit["rest"]):
            if name == "t":
                found[f"ratelimit.{kind}.reset"] = _spelled(at + timedelta(seconds=min(int(number), 10**9)))
            elif name in {"r", "q", "w"}:
                found[f"ratelimit.{kind}.{ {'r': 'remaining', 'q': 'limit', 'w': 'window'}[name] }"] = number
    return found


def _instant(value: str, at: datetime) -> str | None:
    """Seconds from now, seconds of the epoch, `6m0s`, RFC 3339, or a date of HTTP."""
    text = value.strip()
    try:
        if (fit := _FIRST_NUMBER.fullmatch(text)) is not None:
            seconds = float(text.split(",")[0].split(";")[0])
            seconds = seconds / 1_000 if seconds > 1_000 * _AN_EPOCH else seconds
            until = datetime.fromtimestamp(seconds, UTC) if seconds > _AN_EPOCH else at + timedelta(seconds=seconds)
            return _spelled(until)
        if text and (fit := _SPAN.fullmatch(text)) is not None:
            days, hours, minutes, seconds_, ms = (float(part or 0) for part in fit.groups())
            span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds_, milliseconds=ms)
            return _spelled(at + span)
        found = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return _spelled(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _spelled(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
