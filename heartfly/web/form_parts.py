"""What may stand at the head of a part of a form that sends files along: no charset but the one that all texts are in.

The framework takes the parts apart, and reads each by whatever Python has under the name that its head gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_UTF_8 = re.compile(rb"""charset=(?:"(?:utf-?8|us-ascii)"|(?:utf-?8|us-ascii))(?=[;\s]|$)""")
_FOLD = re.compile(rb"\r\n(?=[ \t])")


def are_utf8(raw: bytes, boundary: str) -> bool:
    """Whether no part says that it is in another charset: four MiB that are said to be Punycode would take minutes."""
    # A boundary begins a line: elsewhere, as in a header, it parts nothing.
    parts = (b"\r\n" + raw).split(b"\r\n--" + boundary.encode())
    kinds = (kind for part in parts for kind in _kinds(part.partition(b"\r\n\r\n")[0]))
    return not any(b"charset" in _UTF_8.sub(b"", kind) for kind in kinds)


def _kinds(head: bytes) -> Iterator[bytes]:
    """What its lines say of its kind, in small letters: a file or a field may be called what it likes."""
    head = head.lower()
    if b"charset" in head:
        for line in _FOLD.sub(b"", head).split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.decode("utf-8", "replace").strip() == "content-type":
                yield value
