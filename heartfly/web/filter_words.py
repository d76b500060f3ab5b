"""The language of the filter box: `tag:etl is:down channel:slack` and words. What is no such term is a word."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from heartfly.core import text
from heartfly.errors import InvalidValueError

_TERM = re.compile(r'(?:(tag|is|channel):)?(?:"([^"]*)"|(\S+))', re.IGNORECASE)
_MOST = 20


@dataclass(frozen=True, slots=True)
class Terms:
    tags: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def terms(q: str, *, known: tuple[str, ...]) -> Terms:
    """`known`: what may stand after `is:`. In quotes a term may have spaces. InvalidValueError for the field `q`."""
    line, found = text.one_line(q, field="q", most=200), Terms()
    matches = list(_TERM.finditer(line))
    if len(matches) > _MOST:
        raise InvalidValueError("q", f"has more than {_MOST} words")
    for match in matches:
        what, value = (match[1] or "").lower(), match[2] if match[2] is not None else match[3]
        if what == "is":
            value = value.lower()
            if value not in known:
                raise InvalidValueError("q", f"has is:{value}, which must be one of {', '.join(known)}")
        lists = {"tag": found.tags, "is": found.states, "channel": found.channels, "": found.words}
        if value:
            lists[what].append(value)
    return found
