"""Three cookies: the session's token, by what a browser is known that asked for a new password (reset.py), and whether
single keys are switched off (keyboard.py). No script reads them.

Only our own pages get the two secrets, and over https nothing else. They are `Lax` and not `Strict`: people come by
links in mails.
"""

from __future__ import annotations

from datetime import timedelta

from heartfly.accounts import resets
from heartfly.accounts.sessions import LONGEST

_NAME = "heartfly"
_ASKED = "heartfly-reset"
_KEYS = "heartfly-keys"
_A_YEAR = timedelta(days=365)


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
    return _cookie(_KEYS, "on" if is_on else "off", _A_YEAR, is_https=is_https)


def _value_in(header: str, name: str) -> str:
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def setting(token: str, *, is_https: bool) -> str:
    return _cookie(_NAME, token, LONGEST, is_https=is_https)


def removing(*, is_https: bool) -> str:
    return _cookie(_NAME, "", timedelta(), is_https=is_https)


def asked_by(header: str, *, is_https: bool) -> str:
    """What this browser has kept since it asked for a new password; empty: it has not."""
    return _value_in(header, _bound(_ASKED, is_https=is_https))


def keeping_asked(browser: str, *, is_https: bool) -> str:
    """For as long as the link lasts that it asks for now."""
    return _cookie(_ASKED, browser, resets.LASTS, is_https=is_https)


def forgetting_asked(*, is_https: bool) -> str:
    return _cookie(_ASKED, "", timedelta(), is_https=is_https)


def _cookie(name: str, value: str, lasts: timedelta, *, is_https: bool) -> str:
    secure, name, seconds = "; Secure" if is_https else "", _bound(name, is_https=is_https), int(lasts.total_seconds())
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
