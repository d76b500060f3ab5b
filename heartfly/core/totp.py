"""One-time codes of six digits that an app makes every 30 seconds: RFC 6238 over RFC 4226, with SHA-1 as apps expect.

Of the clock that the app's phone has, one step in either direction is believed. That a code counts once only is
decided where it is stored: who holds one that was used holds nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
_DRIFT = (0, -1, 1)


def step_of(at: datetime) -> int:
    """The number of the step that an instant lies in; a step begins with its first second."""
    return int(at.timestamp()) // STEP_S


def code_of(secret: bytes, step: int) -> str:
    made = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    offset = made[-1] & 0xF
    number = int.from_bytes(made[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def step_of_code(secret: bytes, code: str, *, now: datetime, after: int | None) -> int | None:
    """Which step a code is of, if it may count now. `after`: the step of the last one that counted; None: none did."""
    code = "".join(code.split())
    if len(code) != DIGITS or not (code.isascii() and code.isdigit()):
        return None
    current = step_of(now)
    fitting = [current + drift for drift in _DRIFT if hmac.compare_digest(code_of(secret, current + drift), code)]
    return next((step for step in fitting if after is None or step > after), None)


def spelled(secret: bytes) -> str:
    """As people type it into an app: letters and digits in groups of four."""
    text = b32encode(secret).decode().rstrip("=")
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def address(secret: bytes, *, issuer: str, account: str) -> str:
    """The `otpauth:` address that apps read from a QR code."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='@')}"
    query = urlencode({"secret": spelled(secret).replace(" ", ""), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{label}?{query}"
