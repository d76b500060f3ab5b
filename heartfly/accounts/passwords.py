"""Passwords: Argon2id with OWASP's parameters, slow on purpose (35 ms); never call it in the event loop."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from heartfly.errors import InvalidValueError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hashed(password: str) -> str:
    """InvalidValueError for one that is too short to be worth hashing."""
    if len(password) < 10:
        raise InvalidValueError("password", "must have at least 10 characters")
    if len(password) > 1000:
        raise InvalidValueError("password", "must have at most 1000 characters")
    return _HASHER.hash(password)


def matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except VerificationError:
        return False
