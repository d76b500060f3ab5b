"""The signature of a webhook, after Standard Webhooks: HMAC-SHA256 over id, time and body.

While a secret is rotated there are several, and a signature for each; a receiver needs to know one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def is_secret(text: str) -> bool:
    """Tell whether it is `whsec_` and the base64 of 24 to 64 bytes, as the standard asks."""
    try:
        return text.startswith(PREFIX) and MIN_BYTES <= len(_key(text)) <= MAX_BYTES
    except (binascii.Error, ValueError):
        return False


def signed_headers(message_id: str, *, sent_at: datetime, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """`sent_at` is the time of this attempt: receivers refuse what is older than some minutes."""
    timestamp = str(int(sent_at.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
    if signatures := " ".join(_signature(secret, content) for secret in secrets):
        headers["webhook-signature"] = signatures
    return headers


def _signature(secret: str, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(_key(secret), content, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
