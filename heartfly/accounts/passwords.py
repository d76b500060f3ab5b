"""Passwords: Argon2id with OWASP's parameters, slow on purpose (35 ms); never call it in the event loop.

Which ones are refused is decided here: too short, too long, or among the first that a stranger would try.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from heartfly.errors import InvalidValueError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_SHORTEST, _LONGEST = 10, 1000
OUR_WORDS = ("heartfly",)
"""Who attacks this server tries its own name first: beside it a password needs as much as without it."""
_LEAST_BESIDE = 8
_LEAST_CHARACTERS = 4
"""Different ones: `aaaaaaaaaa` and `1212121212` are in no list that is long enough."""


def hashed(password: str) -> str:
    """InvalidValueError for one that is too short to be worth hashing, or that would be guessed soon."""
    if len(password) < _SHORTEST:
        raise InvalidValueError("password", f"must have at least {_SHORTEST} characters")
    if len(password) > _LONGEST:
        raise InvalidValueError("password", f"must have at most {_LONGEST} characters")
    if _is_tried_first(password.casefold()):
        raise InvalidValueError("password", "is one of those that are tried first; choose one that nobody would guess")
    return _HASHER.hash(password)


def matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except VerificationError:
        return False


def _is_tried_first(password: str) -> bool:
    beside = password
    for word in OUR_WORDS:
        beside = beside.replace(word, "")
    is_about_us = beside != password and len(beside) < _LEAST_BESIDE
    return is_about_us or len(set(password)) < _LEAST_CHARACTERS or password in _common()


@cache
def _common() -> frozenset[str]:
    """Lower case, as they are compared."""
    lines = files("heartfly.accounts").joinpath("common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
