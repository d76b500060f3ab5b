"""A file of a project, read and judged whole before anything is asked of a server. Each error has its path and line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import rich_click as click

from heartfly.cli.as_code.near import unknown
from heartfly.cli.as_code.settings import FIELDS, KINDS, READERS, Entry, channel
from heartfly.core import text as texts
from heartfly.core.managed import MARK
from heartfly.core.yaml_text import Document, Path, documents
from heartfly.errors import InvalidValueError

VERSION = 1
"""Begins the tag of a check that a file manages."""
_KNOWN = ("version", "managed_by", *KINDS)
_MOST_SAID = 20
_MOST_MARK = 40
_NO_NAME = "must be a mapping of names to what they are"


class WrongFile(click.ClickException):
    """`wrong`: path, line and what is wrong, of each thing that is."""

    def __init__(self, name: str, wrong: Sequence[tuple[str, int, str]]) -> None:
        lines = [f"{name}:{line}: {path + ': ' if path else ''}{said}" for path, line, said in wrong[:_MOST_SAID]]
        more = len(wrong) - _MOST_SAID
        super().__init__("\n".join([*lines, *([f"and {more} more"] if more > 0 else [])]))
        self.wrong = wrong


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """`sections`: those that the file has, also empty ones. `managed_by`: empty: nothing is marked."""

    name: str
    managed_by: str = ""
    sections: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    document: Document | None = None

    @property
    def mark(self) -> str:
        """The tag of what the file manages."""
        return f"{MARK}{self.managed_by}" if self.managed_by else ""

    def wrong(self, found: Sequence[tuple[Path, str]]) -> WrongFile:
        document = self.document
        return WrongFile(
            self.name, [(_dotted(path), document.line(path) if document else 1, said) for path, said in found]
        )


def read(text: str, *, name: str, now: datetime, env: Mapping[str, str]) -> Wanted:
    """WrongFile says all that is wrong with it."""
    try:
        found = documents(text, field=name)
    except InvalidValueError as error:
        raise WrongFile(name, [("", _line_in(error.message), _without_line(error.message))]) from None
    if len(found) != 1 or not isinstance(found[0].value, dict):
        raise WrongFile(name, [("", 1, "must be one mapping: version, project, channels, checks, …")])
    document = found[0]
    whole: dict[str, Any] = document.value
    wrong: list[tuple[Path, str]] = [((key,), unknown(key, _KNOWN)) for key in whole if key not in _KNOWN]
    if whole.get("version") != VERSION:
        wrong.append((("version",), f"must be {VERSION}"))
    managed_by = whole.get("managed_by") or ""
    try:
        managed_by = texts.one_line(str(managed_by), field="managed_by", most=_MOST_MARK)
    except InvalidValueError as error:
        wrong.append((("managed_by",), error.message))
    sections = {kind: _section(kind, whole[kind], now, env, wrong) for kind in KINDS if kind in whole}
    wanted = Wanted(name=name, managed_by=managed_by, sections=sections, document=document)
    if wrong:
        raise wanted.wrong(sorted(wrong, key=lambda one: document.line(one[0])))
    return wanted


def _section(
    kind: str, raw: Any, now: datetime, env: Mapping[str, str], wrong: list[tuple[Path, str]]
) -> Mapping[str, Entry]:
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        wrong.append(((kind,), _NO_NAME))
        return {}
    if kind == "project":
        entry = _entry(kind, (kind,), "project", raw, now, env, wrong)
        return {} if entry is None else {"project": entry}
    found: dict[str, Entry] = {}
    for key, value in raw.items():
        entry = _entry(kind, (kind, key), key, {} if value is None else value, now, env, wrong)
        if entry is not None:
            found[key] = entry
    return found


def _entry(  # noqa: PLR0917 - one call, within this file
    kind: str, path: Path, key: str, raw: Any, now: datetime, env: Mapping[str, str], wrong: list[tuple[Path, str]]
) -> Entry | None:
    if not isinstance(raw, dict):
        wrong.append((path, "must be a mapping"))
        return None
    wrong += [((*path, name), unknown(name, FIELDS[kind])) for name in raw if name not in FIELDS[kind]]
    known = {name: value for name, value in raw.items() if name in FIELDS[kind]}
    try:
        return channel(key, known, env) if kind == "channels" else READERS[kind](key, known, now)
    except InvalidValueError as error:
        wrong += [((*path, *parts_of(one.field)), one.message) for one in (error, *error.others)]
        return None


def parts_of(dotted: str) -> Path:
    """`conditions[0].window` as a path."""
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", dotted))


def _dotted(path: Path) -> str:
    whole = ""
    for part in path:
        whole += f"[{part}]" if isinstance(part, int) else f".{part}" if whole else part
    return whole


def _line_in(message: str) -> int:
    found = re.match(r"line (\d+): ", message)
    return int(found[1]) if found else 1


def _without_line(message: str) -> str:
    return re.sub(r"^line \d+: ", "", message)
