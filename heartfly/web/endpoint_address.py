"""How a page of an endpoint is addressed: its name holds slashes and braces, which no part of a path can.

The address is made of the name alone, so that a link stays good whatever becomes of the database's own numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_BYTES = 9


def address_of(name: str) -> str:
    """Below the pages of usage."""
    return f"/endpoints/{_id_of(name)}"


def named(public_id: str, names: Iterable[str]) -> str | None:
    """Which of these it is; None: it is none of them."""
    return next((name for name in names if _id_of(name) == public_id), None)


def _id_of(name: str) -> str:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=_BYTES).hexdigest()
