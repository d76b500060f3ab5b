"""Tells a check of Heartfly (or of whatever takes such pings) how sending went: a fail ping with the reason, a success.

An alarm that does not arrive stays due on disk, and is tried again with the next.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from .errors import SenderError
from .exchange import FAILURES, Answer, post
from .files import replace

_MOST = 4_000


class Alarm:
    def __init__(self, ping_url: str, folder: Path) -> None:
        """`ping_url`: a check's, without `/fail`. `folder`: the queue's, where what is due is kept."""
        parts = urlsplit(ping_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SenderError(f"the alarm's address must be http(s)://…, not {ping_url}")
        self._parts = parts
        self._due = folder / "alarm-due"

    def raise_(self, text: str) -> str | None:
        """Return why it did not arrive; None: it has."""
        replace(self._due, text[:_MOST].encode())
        return self.send_due()

    def send_due(self) -> str | None:
        """What did not arrive before. The same answer."""
        try:
            text = self._due.read_bytes()
        except FileNotFoundError:
            return None
        failed = self._ping("/fail", text)
        if failed is None:
            self._due.unlink(missing_ok=True)
        return failed

    def all_is_well(self) -> str | None:
        """A success ping, unless an alarm is due still. The same answer."""
        return self.send_due() or self._ping("", b"")

    def _ping(self, end: str, body: bytes) -> str | None:
        address = urlunsplit(self._parts._replace(path=self._parts.path.rstrip("/") + end))
        try:
            answer: Answer = post(address, body, {"Content-Type": "text/plain; charset=utf-8"})
        except FAILURES as error:
            return f"the alarm's address cannot be reached: {error}"
        return None if 200 <= answer.status < 300 else f"the alarm's address answered {answer.status}"
