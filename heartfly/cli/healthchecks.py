"""A server that speaks the API of Healthchecks, as one reads from it: three questions, and plain words when it says no.

One connection a request, no proxies, and no redirects: a key goes nowhere but where it was meant to.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import rich_click as click

from heartfly import __version__
from heartfly.cli.client import connection_to

_TIMEOUT_S = 30.0
_MOST_BYTES = 64 * 1024 * 1024


class SourceError(click.ClickException):
    """It cannot be read."""


@dataclass(frozen=True)
class Source:
    """`url`: of its root. `key`: of the one project that is read."""

    url: str
    key: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise click.UsageError(f"--url must be http(s)://host[:port], not {self.url}")

    def checks(self) -> list[Any]:
        """With their secrets. SourceError, also if the key may not see these."""
        found = self._list("checks")
        if any("uuid" not in check for check in found):
            raise SourceError("This key may only read there: the addresses of checks are told to one that may write.")
        return found

    def channels(self) -> list[Any]:
        return self._list("channels")

    def badges(self) -> dict[str, Any]:
        found = self._read("badges").get("badges")
        return found if isinstance(found, dict) else {}

    def _list(self, name: str) -> list[Any]:
        found = self._read(name).get(name)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise SourceError(f"What answers at {self.url} does not speak the API of Healthchecks.")
        return found

    def _read(self, name: str) -> dict[str, Any]:
        base = urlsplit(self.url)
        headers = {"X-Api-Key": self.key, "User-Agent": f"heartfly-cli/{__version__}", "Accept": "application/json"}
        try:
            connection = connection_to(base.scheme, base.hostname or "", base.port, _TIMEOUT_S)
            try:
                connection.request("GET", f"{base.path.rstrip('/')}/api/v3/{name}/", headers=headers)
                reply = connection.getresponse()
                status, body = reply.status, reply.read(_MOST_BYTES)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SourceError(f"{self.url} cannot be reached: {error}") from None
        if status == 401:
            raise SourceError(f"{self.url} does not know this key.")
        if 300 <= status < 400:
            raise SourceError(
                f"{self.url} sends on to {reply.getheader('Location', 'elsewhere')}: name that with --url."
            )
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if status != 200 or not isinstance(found, dict):
            raise SourceError(f"What answers at {self.url} does not speak the API of Healthchecks ({status}).")
        return found
