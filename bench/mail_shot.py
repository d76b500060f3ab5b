"""The mail of an alarm as its receiver sees it: a real server sends it to a mail server of our own on loopback.

For the README, as the pictures of pages in screenshots.py. Needs the extra `test`, as the mail server is of there.
"""

from __future__ import annotations

import json
import queue
import urllib.request
from collections.abc import Mapping
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as email_policy
from pathlib import Path
from typing import Any, Self

from bench.served import free_port

SIZE = (760, 820)
_LIMIT_S = 60.0
_RID = "0d9f2c1e-7a44-4f0e-9a57-2f6c3f1b8e02"
_SAID = """+ pg_dump billing
pg_dump: error: connection to server at "db-2" failed: FATAL: the
database system is shutting down
rows=0
"""
_CHECK = {
    "name": "nightly-backup", "tags": ["prod", "db"], "grace": 2_400,
    "schedule": {"kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin"},
    "description": "Dumps the billing database to the other region. Runbook: wiki/backup.",
}  # fmt: skip


class Letterbox:
    """Takes mail while it is open."""

    def __init__(self) -> None:
        from aiosmtpd.controller import Controller  # noqa: PLC0415 - an extra

        self.port = free_port()
        self._came: queue.Queue[EmailMessage] = queue.Queue()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        message = message_from_bytes(envelope.content, policy=email_policy)
        assert isinstance(message, EmailMessage)
        self._came.put(message)
        return "250 OK"

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "HEARTFLY_MAIL__HOST": "127.0.0.1", "HEARTFLY_MAIL__PORT": str(self.port),
            "HEARTFLY_MAIL__SECURITY": "none", "HEARTFLY_MAIL__FROM_ADDRESS": "heartfly@example.com",
        }  # fmt: skip

    def html(self) -> str:
        """Of the next mail that comes."""
        part = self._came.get(timeout=_LIMIT_S).get_body(("html",))
        assert part is not None
        return str(part.get_content())


def take(chromium: Any, url: str, folder: Path, letterbox: Letterbox, into: Path) -> None:
    """`folder`: of the server at `url`, which sends its mail to `letterbox`."""
    key = (folder / "cli-key").read_text().strip()
    _asked(f"{url}/v1/channels", {"kind": "email", "name": "Ops", "config": {"to": "ops@example.com"}}, key)
    ping = _asked(f"{url}/v1/checks", _CHECK, key)["ping_url"]
    for path, said in ((f"/start?rid={_RID}", ""), (f"/7?rid={_RID}", _SAID)):
        urllib.request.urlopen(f"{ping}{path}", said.encode(), timeout=_LIMIT_S).close()
    page = chromium.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
    page.set_content(letterbox.html())
    page.screenshot(path=into)
    page.close()


def _asked(url: str, body: object, key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:
        return json.loads(answer.read())
