"""What may stand at the head of a part of a form that sends files along: no charset but the one that all texts are in.

The framework takes the parts apart, and reads each by whatever Python has under the name that its head gives.
"""

from __future__ import annotations

import re

_LONGEST_HEAD = 8_192
"""More than the parser takes."""
_UTF_8 = re.compile(rb'charset="?utf-?8"?(?=;|\s|$)')


def are_utf8(raw: bytes, boundary: str) -> bool:
    """Whether no part says that it is in another charset: four MiB that are said to be Punycode would take minutes."""
    heads = (part[:_LONGEST_HEAD].partition(b"\r\n\r\n")[0].lower() for part in raw.split(b"--" + boundary.encode()))
    return not any(b"charset" in _UTF_8.sub(b"", head) for head in heads)
