"""What a run that failed said beside what the last success said, as lines of a message.

Bounded in lines and in their length. What counts as different is decided in core/outputs.py; a page has all of it.
"""

from __future__ import annotations

from heartfly.core.alerts import LAST_GOOD_CHARS, Alert
from heartfly.core.outputs import compared
from heartfly.core.words import AlertKind
from heartfly.notify.text import from_whole_line, one_line

MOST_LINES = 40
LONGEST = 200


def differing(alert: Alert) -> tuple[str, ...]:
    """Empty: it is no failure, one of both said nothing or is not kept, or both say the same."""
    run = alert.run
    if alert.kind is not AlertKind.DOWN or run is None or not run.last_good or not run.body_tail:
        return ()
    said = run.body_tail[-LAST_GOOD_CHARS:]
    found = compared(run.last_good, from_whole_line(said) if len(said) < len(run.body_tail) else said).lines
    lines = [f"… {one.text} lines the same" if one.sign == "…" else _line(one.sign, one.text) for one in found]
    more = len(lines) - MOST_LINES
    return (*lines[:MOST_LINES], *([f"… {more} lines more, on the page of the ping"] if more > 0 else []))


def _line(sign: str, text: str) -> str:
    return f"{sign} {one_line(text, limit=LONGEST)}".rstrip()
