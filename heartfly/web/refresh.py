"""`?refresh=30`: a page that the browser asks for anew by itself, for screens on a wall and browsers without script.

Somebody asked for it, so it is a use of his session, unlike a live page that is left open. Error pages repeat
themselves, too: a screen comes back by itself once Heartfly does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

LEAST_S, MOST_S, OFFERED_S = 10, 3_600, 30


@dataclass(frozen=True, slots=True)
class Refresh:
    """What the foot of a page offers. `seconds`: as it is now; 0: it stays as it is."""

    seconds: int
    address: str


def seconds_in(query: str) -> int:
    """0: it was not asked for, or is no number. What is too often or too seldom becomes what is still allowed."""
    asked = dict(parse_qsl(query)).get("refresh", "")
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10) or int(asked) == 0:
        return 0
    return min(max(int(asked), LEAST_S), MOST_S)


def offered(path: str, query: Sequence[tuple[str, str]], seconds: int) -> Refresh:
    """The address keeps the rest of what was asked."""
    rest = [(name, value) for name, value in query if name != "refresh"]
    then = rest if seconds else [*rest, ("refresh", str(OFFERED_S))]
    return Refresh(seconds, path + (f"?{urlencode(then)}" if then else ""))
