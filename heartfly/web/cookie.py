"""Two cookies: the session's token, and whether single keys are switched off (keyboard.py). No script reads them.

Only our own pages get the token, and over https nothing else.
"""

from __future__ import annotations

from heartfly.accounts.sessions import LONGEST

_NAME = "heartfly"
_KEYS = "heartfly-keys"


def name_of(*, is_https: bool) -> str:
    return _bound(_NAME, is_https=is_https)


def _bound(name: str, *, is_https: bool) -> str:
    """Browsers keep a name of that form to the host that set it."""
    return f"__Host-{name}" if is_https else name


def token_in(header: str, *, is_https: bool) -> str:
    """Empty: there is none."""
    return _value_in(header, name_of(is_https=is_https))


def has_keys(header: str, *, is_https: bool) -> bool:
    return _value_in(header, _bound(_KEYS, is_https=is_https)) != "off"


def choosing_keys(*, is_on: bool, is_https: bool) -> str:
    secure, name = "; Secure" if is_https else "", _bound(_KEYS, is_https=is_https)
    return f"{name}={'on' if is_on else 'off'}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}"


def _value_in(header: str, name: str) -> str:
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
