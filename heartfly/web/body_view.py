"""What a ping said, as lines to read: a terminal's colours as classes or taken out, words that are looked for marked.

Only classes of ours and text leave this file; the template escapes the text. What is kept of a body is decided
elsewhere, what is shown of it in ping_page.py, and what differs from another in core/outputs.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from heartfly.core.outputs import COMMAND, plain, split

_ON = {1: "ab", 2: "ad", 3: "ai", 4: "au"}
_OFF = {22: ("ab", "ad"), 23: ("ai",), 24: ("au",)}


class Piece(NamedTuple):
    """`classes`: how a terminal would show it. `is_found`: it is what was looked for."""

    classes: str
    text: str
    is_found: bool = False


class Line(NamedTuple):
    pieces: Sequence[Piece]
    has_found: bool


@dataclass(slots=True)
class _Pen:
    """How a terminal writes at this moment."""

    front: str = ""
    back: str = ""
    ways: tuple[str, ...] = ()

    @property
    def classes(self) -> str:
        return " ".join(filter(None, [self.front, self.back, *self.ways]))

    def obey(self, codes: str) -> None:
        numbers = iter([int(code[:9]) if code else 0 for code in codes.replace(":", ";").split(";")])
        for code in numbers:
            if code == 0:
                self.front, self.back, self.ways = "", "", ()
            elif code in _ON:
                self.ways = tuple(dict.fromkeys([*self.ways, _ON[code]]))
            elif code in _OFF:
                self.ways = tuple(way for way in self.ways if way not in _OFF[code])
            elif code in {38, 48}:
                named = _of_palette(numbers)
                if named is not None and code == 38:
                    self.front = f"a{named}"
                elif named is not None:
                    self.back = f"b{named}"
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.front = f"a{code % 10}"
            elif 40 <= code <= 47 or 100 <= code <= 107:
                self.back = f"b{code % 10}"
            elif code == 39:
                self.front = ""
            elif code == 49:
                self.back = ""


def _of_palette(numbers: Iterator[int]) -> int | None:
    """One of the sixteen named colours; None for the others, which we have not."""
    kind = next(numbers, 0)
    values = list(islice(numbers, {5: 1, 2: 3}.get(kind, 0)))
    return values[0] % 8 if kind == 5 and values and values[0] < 16 else None


def has_commands(text: str) -> bool:
    return COMMAND.search(text) is not None


def lines_of(text: str, *, colours: bool, find: str = "") -> list[Line]:
    """`colours` False: a terminal's commands are taken out. `find`: any letter case; empty: nothing is looked for."""
    coloured = _coloured(text) if colours else ([Piece("", line)] for line in split(plain(text)))
    return [_marked(pieces, find) for pieces in coloured]


def _coloured(text: str) -> Iterator[list[Piece]]:
    pen = _Pen()
    for line in split(text):
        pieces: list[Piece] = []
        at = 0
        for command in COMMAND.finditer(line):
            if command.start() > at:
                pieces.append(Piece(pen.classes, line[at : command.start()]))
            if command["sgr"] is not None:
                pen.obey(command["sgr"])
            at = command.end()
        if at < len(line):
            pieces.append(Piece(pen.classes, line[at:]))
        yield pieces


def _marked(pieces: Sequence[Piece], find: str) -> Line:
    """What is looked for may begin in one colour and end in another."""
    if not find:
        return Line(pieces, has_found=False)
    whole = "".join(piece.text for piece in pieces)
    spans = [match.span() for match in re.finditer(re.escape(find), whole, re.IGNORECASE)]
    if not spans:
        return Line(pieces, has_found=False)
    made: list[Piece] = []
    at = nth = 0
    # Each place is looked at once, and each span: somebody may look for one letter in a line that has no other.
    for piece in pieces:
        begun = 0
        while begun < len(piece.text):
            while nth < len(spans) and spans[nth][1] <= at + begun:
                nth += 1
            low, high = spans[nth] if nth < len(spans) else (len(whole), len(whole))
            is_found = low <= at + begun
            end = min(len(piece.text), (high if is_found else low) - at)
            made.append(Piece(piece.classes, piece.text[begun:end], is_found))
            begun = end
        at += len(piece.text)
    return Line(made, has_found=True)
