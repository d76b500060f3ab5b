"""A mail that came as a signal: its subject, its sender and its text, out of its bytes; and whether it is one at all.

Mails are hostile: parts in parts without end, headers of megabytes, character sets that there are not. So only so many
parts are looked at, each text is bounded, and what cannot be read is read with replacement.
"""

from __future__ import annotations

import codecs
import email
import html
import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message

MOST_PARTS = 50
MOST_HEADER = 2_000
MOST_HOPS = 30
OWN = "X-Heartfly-Kind"
"""A header that every alert of ours has."""
_LONG = re.compile(rb"^content-[a-z-]+[ \t]*:(?:[^\n]|\n[ \t]){8000}", re.IGNORECASE | re.MULTILINE)
"""What names kinds of content, and is longer than any mail needs: its parameters take the square of that to read."""
_OF_HOSTS = {"punycode", "idna"}
"""For names of a few letters: they take the square of a text's length to read."""
_UNSEEN = ("script", "style")
_SMALL = {one: one + 32 for one in range(ord("A"), ord("Z") + 1)}
_BREAK = re.compile(r"<(?:br|p|/p|/div|/tr|/li|/h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_BLANK = re.compile(r"\n\s*\n\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """`text`: of its first plain part, else of its first one of HTML. `why_not`: why it is no signal, if it is none."""

    subject: str
    sender: str
    text: str
    why_not: str = ""

    @property
    def body(self) -> str:
        """As it is kept."""
        return f"Subject: {self.subject}\nFrom: {self.sender}\n\n{self.text}"


def read(raw: bytes, *, most: int) -> Mail:
    """`most`: characters of its text that are kept."""
    if _LONG.search(raw) is not None:
        return Mail(subject="", sender="", text="", why_not="a header of it is too long")
    # The parser asks of each line whether it ends one of the parts that are open: few may be.
    many = raw.lower().count(b"boundary") > MOST_PARTS
    head, _, rest = raw.partition(b"\r\n\r\n") if b"\r\n\r\n" in raw else raw.partition(b"\n\n")
    whole = email.message_from_bytes(head + b"\r\n\r\n" if many else raw)
    return Mail(
        subject=_header(whole, "Subject"),
        sender=_header(whole, "From"),
        text=rest[:most].decode("utf-8", "replace") if many else _text(whole, most),
        why_not=_why_not(whole),
    )


def _why_not(whole: Message) -> str:
    if whole.get(OWN) is not None:
        return "it is an alert of Heartfly's own"
    if _header(whole, "Auto-Submitted").strip().lower().startswith("auto-replied"):
        return "it answers by itself"
    if len(whole.get_all("Received") or ()) > MOST_HOPS:
        return "it goes round in circles"
    return ""


def _header(whole: Message, name: str) -> str:
    raw = str(whole.get(name) or "")[:MOST_HEADER]
    try:
        parts = [
            text.decode(_charset(charset), "replace") if isinstance(text, bytes) else text
            for text, charset in decode_header(raw)
        ]
    except (HeaderParseError, ValueError):
        parts = [raw]
    return " ".join("".join(parts).split())[:MOST_HEADER]


def _text(whole: Message, most: int) -> str:
    leaves = [part for part, _ in zip(whole.walk(), range(MOST_PARTS), strict=False) if not part.is_multipart()]
    inline = [part for part in leaves if part.get_content_disposition() != "attachment"]
    for kind in ("text/plain", "text/html"):
        part = next((part for part in inline if part.get_content_type() == kind), None)
        if part is not None:
            text = _decoded(part, most)
            return (_of_html(text) if kind == "text/html" else text).replace("\r\n", "\n")[:most]
    return ""


def _decoded(part: Message, most: int) -> str:
    try:
        raw = part.get_payload(decode=True)
    except (ValueError, AssertionError):  # pragma: no cover - what is no encoding of that name; some Pythons keep it
        raw = None
    content = raw if isinstance(raw, bytes) else str(part.get_payload()).encode("utf-8", "replace")
    # Of HTML more than is kept: most of it is none of the text.
    return content[: 4 * most].decode(_charset(part.get_content_charset()), "replace")


def _charset(name: str | None) -> str:
    """One by which anything can be read, and in a time that is as its length."""
    name = name or "utf-8"
    try:
        b"\xff\0".decode(name, "replace")
        return "utf-8" if codecs.lookup(name).name in _OF_HOSTS else name
    except (LookupError, ValueError):
        return "utf-8"


def _of_html(text: str) -> str:
    for name in _UNSEEN:
        text = _without(text, name)
    seen = _TAG.sub("", _BREAK.sub("\n", text))
    return _BLANK.sub("\n\n", html.unescape(seen)).strip()


def _without(text: str, name: str) -> str:
    """Without these elements; what is not ended goes to the end. Each character is looked at once."""
    # Of the same length, as `lower` may not be.
    lower, kept, at = text.translate(_SMALL), [], 0
    while (begin := lower.find(f"<{name}", at)) >= 0:
        kept.append(text[at:begin])
        end = lower.find(f"</{name}", begin)
        if end < 0:
            return "".join(kept)
        after = lower.find(">", end)
        at = len(text) if after < 0 else after + 1
    return "".join(kept) + text[at:]
