"""What text from outside may hold: normal form C, no NUL, no control characters, no lone surrogates.

PostgreSQL cannot store NUL, mail cannot carry line breaks in a header, and a name that cannot be
delivered would silence its own alarm. A name that nobody can see, or that reorders the sentence around it,
would hide it.
"""

from __future__ import annotations

import re
import unicodedata

from heartfly.errors import InvalidValueError

SLUG = re.compile(r"[a-z0-9_-]{1,100}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# They show as nothing and mean nothing within a line, but come along with what is copied from a page.
_NOTHING = re.compile(r"[\u00ad\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb]")
_REORDERS = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
# What HTML cannot hold at all, or shows as nothing.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
MOST_MARKS = 100
"""Nothing that is written needs more than 30 (Unicode's Stream-Safe Text Format, UAX #15)."""
_OF_MARKS = frozenset("\u0f73\u0f75\u0f81")  # they come apart into marks alone
_COMPOSED = 4
"""So many characters become one in normal form C, at most."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me"})
# Letters and symbols that are drawn as a blank (Hangul fillers, the empty Braille pattern, the null notehead), what is
# set aside for invisible characters to come, and what is no character.
_BLANK = re.compile(r"[\u115f\u1160\u2065\u2800\u3164\uffa0\ufff0-\ufff8\ufdd0-\ufdef\U0001d159\U000e0000-\U000e0fff]")


def name(value: str, *, field: str, most: int) -> str:
    """One line that shows as something and leaves the text around it alone. Raises InvalidValueError.

    What joins or shapes other characters stays in it: many scripts and emoji are written with that.
    """
    value = one_line(_NOTHING.sub("", value), field=field, most=most, least=1)
    if _REORDERS.search(value):
        raise InvalidValueError(field, "must not hold characters that reorder the text around them")
    if not any(_can_be_seen(char) for char in value):
        raise InvalidValueError(field, "must hold a character that can be seen")
    return value


def _can_be_seen(char: str) -> bool:
    is_no_character = ord(char) & 0xFFFE == 0xFFFE  # the last two of each plane
    return not (unicodedata.category(char) in _UNSEEN or _BLANK.match(char) or is_no_character)


def one_line(value: str, *, field: str, most: int, least: int = 0) -> str:
    """NFC, outer white space removed. Raises InvalidValueError."""
    if "\n" in value or "\t" in value:
        raise InvalidValueError(field, "must be one line")
    return many_lines(value.strip(), field=field, most=most, least=least)


def many_lines(value: str, *, field: str, most: int, least: int = 0) -> str:
    if _CONTROL.search(value.replace("\r\n", "\n")):
        raise InvalidValueError(field, "must not hold control characters")
    value = _composed(value.replace("\r\n", "\n"), field=field, most=most)
    if len(value) < least:
        raise InvalidValueError(field, "must not be empty" if least == 1 else f"must have at least {least} characters")
    if len(value) > most:
        raise InvalidValueError(field, f"must have at most {most} characters")
    return value


def _composed(value: str, *, field: str, most: int) -> str:
    """In normal form C. What orders marks takes the square of how many stand in a row (Python's as others'): 900 KB of
    them took a hundred seconds, so that both are bounded before.
    """
    if value.isascii():
        return value
    if len(value) > most * _COMPOSED:
        raise InvalidValueError(field, f"must have at most {most} characters")
    n_marks = 0
    for char in value:
        n_marks = n_marks + 1 if unicodedata.combining(char) or char in _OF_MARKS else 0
        if n_marks > MOST_MARKS:
            raise InvalidValueError(field, f"must not hold more than {MOST_MARKS} marks on one letter")
    return unicodedata.normalize("NFC", value)


def slug(value: str, *, field: str, most: int = 100) -> str:
    if not SLUG.fullmatch(value) or len(value) > most:
        raise InvalidValueError(field, f"must be 1 to {most} of: a-z, 0-9, - and _")
    return value


def slugify(name: str, *, most: int = 100) -> str:
    """An ASCII slug from a name; empty when nothing of it is left. `name`: bounded by whoever asks, marks and all."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:most].strip("-_")


def shown(text: str) -> str:
    """Text from outside, with a sign in the place of each character that no page can show."""
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))
