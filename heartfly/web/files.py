"""Files that never change under their name: the name holds a hash of the content, so they are kept for a year.

The style sheet is one file, joined at the start from a file for each layer in css/, in this order.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files as resources

SCRIPTS = ("live.js", "keys.js", "passkey.js", "zone.js")
ICONS = ("icon.svg", "icon-down.svg")
"""In the tab of a page: the mark, or the sign that something is down."""
_UNREAD = re.compile(rb"^[ \t]*//.*\n|^[ \t]+|^\n", re.MULTILINE)
LAYERS = ("reset", "tokens", "base", "layout", "components", "pages", "traffic", "print")


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    packed: bytes
    """The same by gzip."""
    media_type: str


class Files:
    def __init__(self, root: str) -> None:
        self._root = root
        self._by_name: dict[str, File] = {}
        self._names: dict[str, str] = {}
        self._add("heartfly.css", _style_sheet(), "text/css")
        for name in SCRIPTS:
            self._add(name, _script(name), "text/javascript")
        for name in ICONS:
            self._add(name, _read(name), "image/svg+xml")

    def _add(self, name: str, content: bytes, media_type: str) -> None:
        stem, _, kind = name.rpartition(".")
        hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{kind}"
        self._names[name] = hashed
        self._by_name[hashed] = File(content, gzip.compress(content, 9, mtime=0), media_type)

    def url(self, name: str) -> str:
        return f"{self._root}/static/{self._names[name]}"

    def get(self, hashed: str) -> File | None:
        return self._by_name.get(hashed)


def _style_sheet() -> bytes:
    order = f"@layer {', '.join(LAYERS)};\n".encode()
    return order + b"".join(b"@layer %b {\n%b}\n" % (name.encode(), _read(f"css/{name}.css")) for name in LAYERS)


def _script(name: str) -> bytes:
    """Without the lines that only comment, and without indents: a browser reads neither."""
    return _UNREAD.sub(b"", _read(name))


def _read(name: str) -> bytes:
    return resources("heartfly.web").joinpath(name).read_bytes()
