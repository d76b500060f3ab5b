"""JSON from outside, into a typed value, or an error that names the field. Whatever the content type says.

What a value must be like is decided by its type and then by the room that it is for.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from heartfly.core.nesting import MAX_DEPTH, too_deep
from heartfly.errors import InvalidValueError

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_WORDS = {"`str`": "a string", "`int`": "a whole number", "`bool`": "true or false", "`object`": "an object"}
_WORDS |= {"`array`": "a list", "`null`": "null", "`float`": "a number"}


class NotJsonError(InvalidValueError):
    """The body as a whole is not what we can read."""

    def __init__(self, message: str) -> None:
        super().__init__("", message)


def decode(raw: bytes, kind: Any) -> Any:
    """The body as `kind`, strictly. NotJsonError: no JSON at all; InvalidValueError: a field is wrong."""
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and too_deep(raw):
        raise NotJsonError(f"the body must be JSON, nested at most {MAX_DEPTH} deep")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise wrong_field(str(error)) from error
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: not UTF-8, or a number of 5,000 digits
        raise NotJsonError(f"the body must be JSON: {str(error)[:200]}") from error


def wrong_field(text: str) -> InvalidValueError:
    """What msgspec says (`Expected …` - at `$.schedule.kind`), as an error with the path of the field."""
    message, _, where = text.partition(" - at `$")
    path = where.removesuffix("`").removeprefix(".")
    if unknown := _UNKNOWN.fullmatch(message):
        return InvalidValueError(_joined(path, unknown[1]), "is not a known field")
    if missing := _MISSING.fullmatch(message):
        return InvalidValueError(_joined(path, missing[1]), "is required")
    return InvalidValueError(path, told(message)) if path else NotJsonError(f"the body is wrong: {told(message)}")


def told(message: str) -> str:
    """A decoder's sentence in the words of JSON."""
    for word, plain in _WORDS.items():
        message = message.replace(word, plain)
    return message[:1].lower() + message[1:300]


def _joined(path: str, name: str) -> str:
    return f"{path}.{name[:100]}" if path else name[:100]
