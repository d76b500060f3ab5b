"""`heartfly move` as an operator meets it: stop, move, start with the other database."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.server_process import Server

pytestmark = pytest.mark.e2e


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, settings={"MONITOR__CANARY_S": "0"})
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


@pytest.fixture
def bare_url(postgres_server: str) -> Iterator[str]:
    """A database without anything in it, as `createdb` makes it."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare_for_move")
        head, _, query = postgres_server.partition("?")
        yield f"{head.rpartition('/')[0]}/bare_for_move?{query}"
        connection.execute("DROP DATABASE bare_for_move WITH (FORCE)")


@pytest.mark.postgres
def test_what_was_served_from_sqlite_is_served_from_postgresql(server: Server, bare_url: str) -> None:
    keys = server.init()
    server.start()
    hook = {"kind": "webhook", "name": "ops", "config": {"url": "https://hooks.example.net/x"}}
    channel = server.api("POST", "/v1/channels", keys["api_key"], hook)
    ping = f"{server.url}/ping/{keys['ping_key']}/job"
    urllib.request.urlopen(f"{ping}?create=1").close()
    with pytest.raises(AssertionError, match="another Heartfly is using"):
        server.command("move", "--to", bare_url)
    assert 0 == server.stop()

    said = json.loads(server.command("move", "--to", bare_url, "--json"))
    with pytest.raises(AssertionError, match="the target is in use"):
        server.command("move", "--to", bare_url)

    assert (1, 1, 1) == tuple(said["rows"][name] for name in ("checks", "pings", "channels"))
    server.settings["DATABASE__URL"] = bare_url
    server.start()
    urllib.request.urlopen(ping).close()
    (check,) = server.api("GET", "/v1/checks", keys["api_key"])["items"]
    assert ("job", "up", 2) == (
        check["slug"],
        check["status"],
        len(server.api("GET", f"/v1/checks/{check['id']}/pings", keys["api_key"])["items"]),
    )
    assert channel["config"] == server.api("GET", f"/v1/channels/{channel['id']}", keys["api_key"])["config"]
    assert 0 == server.stop()


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("sqlite:////tmp/other.db", "--to: Expected postgresql://"),
        ("mysql://h/d", "--to: Expected postgresql://"),
        ("postgresql://nobody@127.0.0.1:1/none", "the move failed"),
    ],
)
def test_a_target_that_cannot_be_is_named(server: Server, to: str, says: str) -> None:
    server.init()
    with pytest.raises(AssertionError) as caught:
        server.command("move", "--to", to)

    said = " ".join(str(caught.value).replace("│", " ").split())
    assert says in said
    assert "Traceback" not in said


def test_where_nothing_is_nothing_is_made(server: Server) -> None:
    with pytest.raises(AssertionError, match="there is no database at"):
        server.command("move", "--to", "postgresql://nobody@127.0.0.1:1/none")
    assert not (server.folder / "heartfly-data").exists()
