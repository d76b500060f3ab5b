"""The extended log format of the W3C, whose header says what follows: CloudFront's and that of IIS.

Its times are UTC. `time-taken` is in seconds, as the format says, but IIS writes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote

from heartfly.core.access.request import (
    MAX_AGENT,
    Request,
    Told,
    Unread,
    at_iso,
    clean,
    ms_of_ms,
    ms_of_seconds,
    path_of,
    status_of,
    whole,
)


class W3C:
    """Reads line by line: a header counts until the next one. `knows_fields`: it has seen which fields follow."""

    def __init__(self) -> None:
        self._names: Sequence[str] = ()
        self._ms: Callable[[str], str | None] = ms_of_seconds

    @property
    def knows_fields(self) -> bool:
        return bool(self._names)

    def read(self, line: str) -> Told:
        if line.startswith("#"):
            self._directive(line)
            return None
        words = line.split("\t") if "\t" in line else line.split(" ")
        if not self._names:
            return Unread("comes before a #Fields line that says what it holds")
        if len(words) != len(self._names):
            return Unread("does not have the fields that its #Fields line says")
        told = {name: word for name, word in zip(self._names, words, strict=True) if word not in {"-", ""}}
        at = at_iso(f"{told.get('date', '')}T{told.get('time', '')}Z")
        if at is None:
            return Unread("has no date and time that can be read")
        path = told.get("cs-uri-stem")
        return Request(
            at, clean(told.get("cs-method", ""), 32).upper() or None, path_of(path) if path else None,
            status_of(told.get("sc-status")),
            _text(told, "c-ip"),
            _text(told, "cs-username"),
            _text(told, "x-host-header", "cs-host", "cs(Host)", "s-computername"),
            _text(told, "cs(User-Agent)", most=MAX_AGENT),
            self._ms(told.get("time-taken", "")),
            None,
            whole(told.get("cs-bytes")),
            whole(told.get("sc-bytes")),
            _text(told, "x-edge-request-id"),
            told,
        )  # fmt: skip

    def _directive(self, line: str) -> None:
        name, _, value = line[1:].partition(":")
        if name == "Fields":
            self._names = value.split()
        elif name == "Software":
            self._ms = ms_of_ms if "Internet Information" in value else ms_of_seconds


def _text(told: Mapping[str, str], *names: str, most: int = 512) -> str | None:
    """Blanks come as `+` from IIS, as `%20` from CloudFront."""
    text = next((told[name] for name in names if name in told), None)
    return clean(unquote(text.replace("+", " ")), most) if text is not None else None
