"""Which addresses are Cronitor's API, by their shape alone. Asked at each request, so it imports nothing of ours."""

from __future__ import annotations

import re

PATH = re.compile(
    r"/api/monitors(?P<yaml>\.yaml|\.yml)?(?:/(?P<key>[^/]+)(?:/(?P<action>pause)(?:/(?P<hours>[^/]+))?)?)?/?"
)


def takes(path: str) -> bool:
    return path.startswith("/api/monitors") and PATH.fullmatch(path) is not None
