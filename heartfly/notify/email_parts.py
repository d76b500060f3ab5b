"""A message as the two parts of a mail: plain text, and HTML for the clients that people have.

Each part can be made smaller: mail over 100 kB is hidden by Gmail. What does not fit is counted and
linked. The HTML is a table layout with inline styles (Outlook), and templates/mail.html says how
it looks in the dark.
"""

from __future__ import annotations

from collections.abc import Callable

from heartfly.notify.mail_templates import template
from heartfly.notify.message import Line, Message
from heartfly.notify.sentences import Tone
from heartfly.notify.text import cut

TAIL_BYTES = 20_000
LINES_BYTES = 70_000
DIFFERS_BYTES = 10_000
VALUE_LIMIT = 500
_ROW_MARKUP_BYTES = 430
_LABEL_WIDTH = 20

# Text on its own soft background, each pair with a contrast of at least 4.5.
_COLOURS = {
    Tone.DOWN: ("#be1e2d", "#fde9ea"),
    Tone.UP: ("#13713f", "#e4f5eb"),
    Tone.DEGRADED: ("#8a5500", "#fdf1d8"),
    Tone.NOTICE: ("#4b5260", "#eceef1"),
}


def text_part(message: Message, *, share: int = 1) -> str:
    """Return the text. Lists, values and output get one part in `share` of the room that they may take."""
    paragraphs = [message.title, message.sentence, *message.why, message.note]
    lines, n_more = _fitting_lines(message, len, room=LINES_BYTES // share)
    paragraphs.append("\n".join(f"* {line.label}: {line.name} {line.text}" for line in lines))
    paragraphs.append(f"+{n_more} more" if n_more else "")
    paragraphs.append(f"{message.link_text}: {message.link}")
    facts = _fitting_facts(message, share=share)
    width = min(_LABEL_WIDTH, max((len(label) + 1 for label, _ in facts), default=0))
    paragraphs.append("\n".join(f"{label + ':':<{width}} {value}" for label, value in facts))
    if differs := _fitting_differs(message, len, room=DIFFERS_BYTES // share):
        paragraphs.append(f"{DIFFERS}:\n\n" + "\n".join(differs))
    if message.tail:
        tail, cut_off = _fitting_tail(message, len, room=TAIL_BYTES // share)
        paragraphs.append(f"{_tail_heading(message, cut_off=cut_off)}:\n\n{tail}")
    paragraphs.append(f"--\u0020\nHeartfly, project {message.project}. All times are UTC.")
    return "\n\n".join(part for part in paragraphs if part) + "\n"


def html_part(message: Message, *, share: int = 1) -> str:
    lines, n_more = _fitting_lines(message, _escaped_length, room=LINES_BYTES // share)
    tail, cut_off = _fitting_tail(message, _escaped_length, room=TAIL_BYTES // share)
    colour, soft = _COLOURS[message.tone]
    return template("alert.html").render(
        message=message,
        heading=message.title.removeprefix(f"{message.label}: "),
        colour=colour,
        soft=soft,
        colours={tone: text for tone, (text, _) in _COLOURS.items()},
        lines=lines,
        n_more=n_more,
        facts=_fitting_facts(message, share=share),
        differs="\n".join(_fitting_differs(message, _escaped_length, room=DIFFERS_BYTES // share)),
        differs_heading=DIFFERS,
        tail=tail,
        tail_heading=_tail_heading(message, cut_off=cut_off),
    )


DIFFERS = "What is different from the last success (-), without times and ids"


def _fitting_differs(message: Message, size: Callable[[bytes], int], *, room: int) -> list[str]:
    """The lines that fit, the first first."""
    found: list[str] = []
    for line in message.differs:
        room -= size(line.encode()) + 1
        if room < 0:
            break
        found.append(line)
    return found


def _tail_heading(message: Message, *, cut_off: bool) -> str:
    if cut_off:
        return f"{message.tail_title}: the end, the rest is on the page of the check"
    return message.tail_title


def _fitting_facts(message: Message, *, share: int) -> list[tuple[str, str]]:
    return [(label, cut(value, VALUE_LIMIT // share)) for label, value in message.facts]


def _fitting_lines(message: Message, size: Callable[[bytes], int], *, room: int) -> tuple[tuple[Line, ...], int]:
    """Return the lines that fit, and how many more there are."""
    for n_fitting, line in enumerate(message.lines):
        room -= size(f"{line.name}{line.text}{line.link}".encode()) + _ROW_MARKUP_BYTES
        if room < 0:
            return message.lines[:n_fitting], message.n_more + len(message.lines) - n_fitting
    return message.lines, message.n_more


def _fitting_tail(message: Message, size: Callable[[bytes], int], *, room: int) -> tuple[str, bool]:
    """Return the end of the output that fits, and whether something stood before it."""
    if size(message.tail.encode()) <= room:
        return message.tail, message.tail_cut
    n_kept = 0
    while (room := room - size(message.tail[-n_kept - 1].encode())) >= 0:
        n_kept += 1
    return message.tail[len(message.tail) - n_kept :], True


def _escaped_length(text: bytes) -> int:
    return len(text) + 4 * sum(map(text.count, (b"&", b"<", b">", b'"', b"'")))
