"""The one cookie: the session's token. Only our own pages get it, no script reads it, and over https nothing else."""

from __future__ import annotations

from heartfly.accounts.sessions import LONGEST

_NAME = "heartfly"


def name_of(*, is_https: bool) -> str:
    return f"__Host-{_NAME}" if is_https else _NAME


def token_in(header: str, *, is_https: bool) -> str:
    """Empty: there is none."""
    name = name_of(is_https=is_https)
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def setting(token: str, *, is_https: bool) -> str:
    return _cookie(token, int(LONGEST.total_seconds()), is_https=is_https)


def removing(*, is_https: bool) -> str:
    return _cookie("", 0, is_https=is_https)


def _cookie(value: str, max_age: int, *, is_https: bool) -> str:
    secure = "; Secure" if is_https else ""
    return f"{name_of(is_https=is_https)}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}"
