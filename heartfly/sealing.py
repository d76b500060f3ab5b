"""Secrets at rest: sealed with keys that do not live in the database.

One key file beside the data; a new key may stand before an old one, so that keys can be changed
without losing what the old one sealed. Keys made for high entropy secrets are stored as plain hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from heartfly.errors import StoreError

_LETTERS = string.ascii_letters + string.digits


class Sealer:
    """Seals with the first key, opens with any."""

    def __init__(self, keys: list[bytes]) -> None:
        self._keys = keys
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def apart(self, purpose: str) -> Sealer:
        """With keys made of these, for one purpose: it opens nothing that was sealed for another.

        For what must be ours where somebody could put something there that he had us seal, such as a channel's secret.
        """
        made = [hmac.digest(urlsafe_b64decode(key), purpose.encode(), "sha256") for key in self._keys]
        return Sealer([urlsafe_b64encode(key) for key in made])

    def seal(self, secret: bytes) -> bytes:
        return self._fernet.encrypt(secret)

    def open(self, sealed: bytes) -> bytes:
        """StoreError: sealed with a key that is not in the file."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise StoreError(
                "a stored secret cannot be opened: the secret.key file is not the one it was made with;"
                " put that one back beside the database"
            ) from error


def load_or_create(path: Path) -> Sealer:
    """Read the key file (a key a line, newest first), or make one that only its owner can read."""
    try:
        return Sealer(read_keys(path))
    except FileNotFoundError:
        keys = [new_key()]
        write_keys(path, keys)
        return Sealer(keys)


def read_keys(path: Path) -> list[bytes]:
    """Newest first. Two or more: a change of keys has not ended."""
    keys = path.read_bytes().split()
    if not keys:
        raise StoreError(f"{path} is empty")
    try:
        Sealer(keys)
    except ValueError:
        raise StoreError(f"{path} holds something else than a key a line") from None
    return keys


def write_keys(path: Path, keys: Sequence[bytes]) -> None:
    """In the place of those that were there, all at once: whatever happens, one of the two files is whole."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(b"".join(key + b"\n" for key in keys))
        handle.flush()
        os.fsync(handle.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def new_key() -> bytes:
    return Fernet.generate_key()


def digest(secret: str) -> str:
    """How a random secret of 128 bits and more is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_ping_key() -> str:
    """22 letters and digits: 131 bits, never mistaken for a UUID or a longer key."""
    return "".join(secrets.choice(_LETTERS) for _ in range(22))


APITALLY = "apt_"
"""How the keys begin that Apitally's client takes."""


def new_api_key(*, like: str = "") -> str:
    """`hf_` and 43 letters and digits, the last six of them a checksum that secret scanners can verify.

    `like`: a key as whose successor it must do: of one that Apitally's client takes, `apt_` and 24 (142 bits).
    """
    if like.startswith(APITALLY):
        return APITALLY + "".join(secrets.choice(_LETTERS) for _ in range(24))
    body = "".join(secrets.choice(_LETTERS) for _ in range(37))
    return f"hf_{body}{hashlib.sha256(body.encode()).hexdigest()[:6]}"
