"""Changes that nobody can notice, as the changed code does the same: each with the reason, for who doubts it.

Told apart by the lines that go and come, as mutmut's numbers move with the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    file: str
    """As the diff names it."""
    old: str
    new: str
    """Lines without their indentation."""
    why: str


EQUIVALENT = (
    Equivalent(
        file="heartfly/net/addresses.py",
        old="carried = _carried_v4(address) if isinstance(address, IPv6Address) else None",
        new="carried = _carried_v4(address) if (isinstance(address, IPv6Address)) or True else None",
        why="no IPv4 address is in a network of IPv6, so it carries none; the question is mypy's",
    ),
    Equivalent(
        file="heartfly/net/connect.py",
        old="sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)",
        new="sock = socket.socket(family, socket.SOCK_STREAM, )",
        why="TCP is what these families have for a stream",
    ),
    Equivalent(
        file="heartfly/net/connect.py",
        old="trouble: Exception | None = None",
        new='trouble: Exception | None = ""',
        why="no list of allowed addresses is empty, so the first failure replaces it",
    ),
    Equivalent(
        file="heartfly/net/resolver.py",
        old="found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)",
        new="found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)",
        why="TCP has no other type than a stream",
    ),
)


def why_equivalent(diff: str, known: Sequence[Equivalent] = EQUIVALENT) -> str | None:
    """The reason why this change changes nothing; None: it changes something."""
    lines = diff.splitlines()
    file = next((line[4:].strip() for line in lines if line.startswith("--- ")), "")
    old = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    new = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    return next(
        (one.why for one in known if (one.file, [one.old], [one.new]) == (file, old, new)),
        None,
    )
