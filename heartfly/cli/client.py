"""How commands reach a running server: its address, a key, one request, and plain words when that fails.

The standard library's HTTP, one connection a request, no proxies and no redirects: it is our own API.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

import rich_click as click

from heartfly import __version__
from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.config import Settings

KEY_FILE = "cli-key"
_TIMEOUT_S = 20.0
_PIECE = 64 * 1024
_OF_THE_COMMAND = frozenset({"config", "data"})
"""Options of every command that are no fields of what is asked for."""


class Unreachable(click.ClickException):
    """The server does not answer, or answers what is not Heartfly's."""


class Refused(click.ClickException):
    """The server said no. `status` and `problem` are its words for machines."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(_sentence(status, problem))
        self.status = status
        self.problem = problem


def _sentence(status: int, problem: Mapping[str, Any]) -> str:
    errors = problem.get("errors") or []
    if status == 401:
        return (
            "The server does not know this key. Give one with --key or HEARTFLY_API_KEY (`heartfly init` makes them)."
        )
    if errors:
        return "\n".join(f"{_named(error['field'])}: {error['message']}" for error in errors)
    detail = str(problem.get("detail") or f"the server answered {status}")
    return detail[:1].upper() + detail[1:] + "."


def _named(field: str) -> str:
    """As whoever typed the command knows it: `policy.after` is its --after, if it has such an option."""
    command = click.get_current_context(silent=True)
    name = field.rpartition(".")[2]
    for param in command.command.params if command is not None and name not in _OF_THE_COMMAND else ():
        if isinstance(param, click.Option) and param.name == name:
            return param.opts[0]
    return field


@dataclass(frozen=True)
class Client:
    """`timeout_s`: how long it waits for an answer. `read_json` says what becomes of numbers; ValueError: no JSON."""

    url: str
    key: str
    timeout_s: float = _TIMEOUT_S
    read_json: Callable[[bytes], Any] = json.loads

    def call(self, method: str, path: str, asked: Any = None, *, seen: str = "", **query: Any) -> Any:
        """Return the JSON of the answer; None where there is none. Unreachable or Refused.

        `seen`: the tag of what the caller has read; it is refused with 412 if that has changed since.
        """
        target = path + (f"?{urlencode(given, doseq=True)}" if (given := _given(query)) else "")
        body = None if asked is None else json.dumps(asked).encode()
        return self._answer(*self._exchange(method, target, body, more={"If-Match": seen} if seen else {}))

    def tagged(self, path: str) -> tuple[Any, str]:
        """What is there, and its tag, by which an edit says what it has seen. Unreachable or Refused."""
        tags = []

        def taken(told: http.client.HTTPResponse) -> tuple[int, bytes]:
            tags.append(told.getheader("ETag", ""))
            return told.status, told.read()

        return self._answer(*self._exchange("GET", path, None, taken=taken)), tags[0]

    def send(self, path: str, body: bytes, **query: Any) -> Any:
        """Post a body as it stands. Unreachable or Refused."""
        target = path + (f"?{urlencode(given, doseq=True)}" if (given := _given(query)) else "")
        return self._answer(*self._exchange("POST", target, body))

    def text(self, path: str) -> str:
        """What is there, as it was sent: figures in it are not read. Unreachable or Refused."""
        status, body = self._exchange("GET", path, None)
        if status >= 400:
            self._answer(status, body)
        return body.decode()

    def _answer(self, status: int, body: bytes) -> Any:
        try:
            answer = self.read_json(body) if body else None
        except ValueError:
            raise Unreachable(f"What answers at {self.url} is not Heartfly ({status}).") from None
        if status >= 400:
            raise Refused(status, answer if isinstance(answer, dict) else {})
        return answer

    def read(self, path: str) -> Any:
        """Return what is at this address; None: there is nothing."""
        try:
            return self.call("GET", path)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None

    def listed(self, path: str, **query: Any) -> Iterator[Any]:
        """All items of a list, page by page."""
        page = self.call("GET", path, limit=500, **query)
        yield from page["items"]
        while page["next"] is not None:
            page = self.call("GET", path, limit=500, cursor=page["next"], **query)
            yield from page["items"]

    def first(self, path: str, most: int, **query: Any) -> list[Any]:
        """The first `most` items of a list; no more is asked for than that."""
        found: list[Any] = []
        cursor = None
        while len(found) < most:
            page = self.call("GET", path, limit=min(most - len(found), 500), cursor=cursor, **query)
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        return found

    def copy(self, path: str, into: BinaryIO) -> None:
        """A long answer, piece by piece. Unreachable, also if it is cut off, or Refused."""

        def taken(response: http.client.HTTPResponse) -> tuple[int, bytes]:
            if response.status != 200:
                return response.status, response.read()
            # No size is told: the end is a chunk of its own, without which this raises.
            while piece := response.read(_PIECE):
                try:
                    into.write(piece)
                except OSError as error:
                    raise click.ClickException(f"It cannot be written: {error}") from None
            return response.status, b""

        status, body = self._exchange("GET", path, None, taken=taken)
        if status != 200:
            raise Refused(status, _problem(body))

    def _exchange(
        self,
        method: str,
        target: str,
        body: bytes | None,
        *,
        more: Mapping[str, str] = MappingProxyType({}),
        taken: Callable[[http.client.HTTPResponse], tuple[int, bytes]] = lambda told: (told.status, told.read()),
    ) -> tuple[int, bytes]:
        base = urlsplit(self.url)
        headers = {"Authorization": f"Bearer {self.key}", "User-Agent": f"heartfly-cli/{__version__}", **more}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection = connection_to(base.scheme, base.hostname or "", base.port, self.timeout_s)
            try:
                connection.request(method, base.path.rstrip("/") + target, body=body, headers=headers)
                return taken(connection.getresponse())
            finally:
                connection.close()
        except ConnectionRefusedError:
            raise Unreachable(
                f"Nothing answers at {self.url}. Start it with `heartfly serve`, or say where it is with --url."
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{self.url} cannot be reached: {error}") from None


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None and value != ()}


def connection_to(scheme: str, host: str, port: int | None, timeout_s: float) -> http.client.HTTPConnection:
    """Certificates are looked at; nobody is followed elsewhere, and no proxy is asked."""
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def part(text: str) -> str:
    """A piece of a path: nothing in it reads as more of one."""
    return quote(text, safe="")


# --- options -----------------------------------------------------------------------------------------


def connected(
    *names: str, offline: str = "", keyless: str = "", key: str = "--key"
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that say which server, and as whom; it gets `api`, a Client.

    `names` of the first option and `key`, of the other, for a command whose own --url and --key mean something else.
    `offline`: a flag of the command with which it asks no server, and needs no key; with `keyless` it asks if there is
    one, which may be none.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_client(
            *, server: str | None, own_key: str | None, config: Path | None, data: Path | None, **rest: Any
        ) -> None:
            settings = settings_from(config, DATA__DIR=data)
            if rest.get(offline) or (rest.get(keyless) and not (settings.data.dir / KEY_FILE).exists()):
                known = own_key or ""
            else:
                known = own_key or _key_of(settings)
            api = Client(_checked(server or settings.server.public_url), known)
            command(api=api, **rest)

        for option in (
            DATA,
            CONFIG,
            click.option(key, "own_key", envvar="HEARTFLY_API_KEY", help="An API key.  [the data directory's cli-key]"),
            click.option(
                *(names or ("--url", "--server")),
                "server",
                envvar="HEARTFLY_URL",
                help="Where the server is.  [what the configuration says]",
            ),
        ):
            with_client = option(with_client)
        return with_client

    return decorate


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise click.UsageError(f"--url must be http(s)://host[:port], not {url}")
    return url.rstrip("/")


def _key_of(settings: Settings) -> str:
    path = settings.data.dir / KEY_FILE
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise click.UsageError(
            f"No API key: there is none in {path}. `heartfly serve` makes one when it first starts; say with --data "
            "where it keeps its data, or give a key with --key or HEARTFLY_API_KEY."
        ) from None
    except (OSError, ValueError) as error:
        raise click.UsageError(f"The API key in {path} cannot be read: {error}") from None
