"""Which addresses are Healthchecks', by their shape alone. Asked at each request, so it imports nothing of ours."""

from __future__ import annotations

import re

_FORMAT = r"\.(?P<format>svg|json|shields)"
OF_CHECK = re.compile(rf"/b/(?P<states>[23])/(?P<uuid>[0-9a-fA-F-]{{36}}){_FORMAT}", re.ASCII)
OF_TAG = re.compile(
    rf"/badge/(?P<key>[A-Za-z0-9_-]{{1,64}})/(?P<sig>[A-Za-z0-9_-]{{8}})(?P<two>-2)?(?:/(?P<tag>[^\x00-\x1f\x7f]{{1,200}}))?{_FORMAT}"
)
OF_HEARTFLY = re.compile(
    rf"/badge/(?P<half>[A-Za-z0-9_-]{{16}})/(?P<states>[23])/(?P<code>[A-Za-z0-9_-]{{16}}){_FORMAT}"
)
"""A badge of our own, as another Heartfly tells of it."""
OF_PROJECT = re.compile(r"/projects/[^/]+/metrics(?:/(?P<key>[^/]+))?/?")
_ALL_UNDER = re.compile(r"/(?:api/v[123]|b)/")


def takes(path: str) -> bool:
    """Whether a path is theirs, also if nothing is at it. Our own badges have a `2` or a `3` where theirs have more."""
    if path.startswith("/badge/"):
        return OF_TAG.fullmatch(path) is not None
    if path.startswith("/projects/"):
        return OF_PROJECT.fullmatch(path) is not None
    return _ALL_UNDER.match(path) is not None
