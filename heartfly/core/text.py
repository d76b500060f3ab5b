"""What text from outside may hold: normal form C, no NUL, no control characters, no lone surrogates.

PostgreSQL cannot store NUL, mail cannot carry line breaks in a header, and a name that cannot be
delivered would silence its own alarm.
"""

from __future__ import annotations

import re
import unicodedata

from heartfly.errors import InvalidValueError

SLUG = re.compile(r"[a-z0-9_-]{1,100}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(value: str, *, field: str, most: int, least: int = 0) -> str:
    """NFC, outer white space removed. Raises InvalidValueError."""
    if "\n" in value or "\t" in value:
        raise InvalidValueError(field, "must be one line")
    return many_lines(value.strip(), field=field, most=most, least=least)


def many_lines(value: str, *, field: str, most: int, least: int = 0) -> str:
    if _CONTROL.search(value.replace("\r\n", "\n")):
        raise InvalidValueError(field, "must not hold control characters")
    value = unicodedata.normalize("NFC", value.replace("\r\n", "\n"))
    if len(value) < least:
        raise InvalidValueError(field, "must not be empty" if least == 1 else f"must have at least {least} characters")
    if len(value) > most:
        raise InvalidValueError(field, f"must have at most {most} characters")
    return value


def slug(value: str, *, field: str, most: int = 100) -> str:
    if not SLUG.fullmatch(value) or len(value) > most:
        raise InvalidValueError(field, f"must be 1 to {most} of: a-z, 0-9, - and _")
    return value


def slugify(name: str, *, most: int = 100) -> str:
    """An ASCII slug from a name; empty when nothing of it is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:most].strip("-_")
