"""Does a form come from a page of ours, and may its sender be sent there? Rules against pages of others.

Two guards for every form: the browser's word where the request comes from, and a token that only our pages hold. The
token is a keyed hash of the session's, mixed anew for each page so that packing tells nothing of it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from urllib.parse import urlsplit

_BYTES = 32


def is_ours(headers: Mapping[str, str], base_url: str) -> bool:
    """By `Sec-Fetch-Site`, which no page can forge, else by `Origin`. A request with neither is none of a browser's."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(headers.get("origin", ""))
    if origin.scheme not in {"http", "https"} or not origin.netloc:
        return False
    ours = urlsplit(base_url)
    # The host that the browser asked for: over plain http people reach us by more names than the settings know.
    return origin.netloc == headers.get("host") or (origin.scheme, origin.netloc) == (ours.scheme, ours.netloc)


def form_token(session_token: str) -> str:
    """Another text each time, good as long as the session."""
    pad = secrets.token_bytes(_BYTES)
    return urlsafe_b64encode(pad + _mixed(pad, _secret(session_token))).decode()


def is_form_token(text: str, session_token: str) -> bool:
    try:
        raw = urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        return False
    if len(raw) != 2 * _BYTES:
        return False
    return hmac.compare_digest(_mixed(raw[:_BYTES], raw[_BYTES:]), _secret(session_token))


def _secret(session_token: str) -> bytes:
    return hmac.digest(session_token.encode(), b"heartfly form", hashlib.sha256)


def _mixed(pad: bytes, text: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(pad, text, strict=True))


def local_path(text: str) -> str | None:
    """Where to go after signing in: a path of this host. None for whatever a browser could take elsewhere."""
    if not text.startswith("/") or len(text) > 2_000 or not text.isascii():
        return None
    if "\\" in text or any(ord(char) < 0x21 or ord(char) == 0x7F for char in text):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or text.startswith("//"):
        return None
    return text
