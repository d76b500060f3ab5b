"""The ping door: every form of address, every answer, and quirks that would lose a ping."""

from __future__ import annotations

import io
import itertools
import json
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly import logs
from heartfly.api.ping import PingDoor, is_ping
from heartfly.clock import SystemClock
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import alerts, ping_bodies, run_metrics
from heartfly.errors import OverloadedError, StoreError
from heartfly.notify.commands import create_channel
from heartfly.pings.ingest import Ingest
from heartfly.pings.request import BySlug, ByUuid
from tests.one_database import on_sqlite
from tests.world import SEALER, World, make_world

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 3, 2, 10, tzinfo=UTC)
RID = "0F4E2F3A-7a3c-4a53-9f5c-2f6a3f1f0001"


KINDS = {
    "": "success",
    "/start": "start",
    "/fail": "fail",
    "/progress": "progress",
    "/log": "log",
    "/0": "success",
    "/1": "fail",
    "/255": "fail",
}


class Client:
    """Speaks ASGI to the door, as the HTTP server does."""

    def __init__(self, door: PingDoor) -> None:
        self.door = door

    async def __call__(
        self, path: str, query: str = "", *, method: str = "GET", body: list[bytes] | None = None, agent: str = "curl/8"
    ) -> tuple[int, bytes, dict[bytes, bytes]]:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", b"x"), (b"user-agent", agent.encode())]
            + ([(b"transfer-encoding", b"chunked")] if body is not None else []),
            "client": ("192.0.2.7", 1234),
            "scheme": "http",
        }
        parts = body if body is not None else [b""]
        messages = [
            {"type": "http.request", "body": part, "more_body": n < len(parts) - 1} for n, part in enumerate(parts)
        ]
        if body == []:
            messages = [{"type": "http.disconnect"}]
        incoming = iter(messages)
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return next(incoming)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.door(scope, receive, send)
        return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


@pytest.fixture
async def world(db: Database, ids: IdSource) -> World:
    return await make_world(db, ids, T0)


@pytest.fixture
async def ingest(world: World) -> Ingest:
    return Ingest(world.db, world.applier, SystemClock())


@pytest.fixture
async def client(ingest: Ingest) -> Client:
    return Client(PingDoor(ingest, max_body=1000, client_address=lambda scope: (scope["client"][0], scope["scheme"])))


async def test_every_form_of_address_is_understood(world: World, client: Client) -> None:
    check = await world.check(T0, name="backup")
    by_uuid, by_key = check.ping_uuid, f"{world.project.ping_key}/backup"
    expected = []
    for prefix, base in itertools.product(("/ping/", "/"), (by_uuid, by_key, by_uuid.upper())):
        for action, kind in KINDS.items():
            assert is_ping(f"{prefix}{base}{action}")
            assert (200, b"OK") == (await client(f"{prefix}{base}{action}"))[:2]
            expected.append(kind)
    assert (200, b"OK") == (await client(f"/ping/{by_uuid}/"))[:2]

    assert [*expected, "success"] == [ping.kind for ping in await world.pings_of(check)]


@on_sqlite
@pytest.mark.parametrize(
    ("rest", "query", "status", "text"),
    [
        ("/256", "", 400, b"invalid url format"),
        ("/9999", "", 400, b"invalid url format"),
        ("/finish", "", 404, b"not found"),
        ("/start/again", "", 404, b"not found"),
        ("", "rid=7", 400, b"invalid uuid format"),
        ("", "metric=rows", 400, b"metric: must look like rows:10, a name and an exact decimal"),
        ("", "metric=rows:1e9", 400, b"metric: must look like rows:10, a name and an exact decimal"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words(
    world: World, client: Client, rest: str, query: str, status: int, text: bytes
) -> None:
    check = await world.check(T0)

    assert (status, text) == (await client(f"/ping/{check.ping_uuid}{rest}", query))[:2]
    assert [] == await world.pings_of(check)


async def test_who_does_not_exist_is_not_found(world: World, client: Client) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for path in (f"/ping/{nobody}", "/ping/short", f"/ping/{world.project.ping_key}", f"/ping/{'x' * 22}/backup"):
        assert (404, b"not found") == (await client(path))[:2]
    assert (400, b"invalid url format") == (await client(f"/ping/{world.project.ping_key}/Backup"))[:2]


async def test_create_makes_the_check_and_says_so_once(world: World, client: Client) -> None:
    path = f"/ping/{world.project.ping_key}/fresh"

    assert (404, b"not found") == (await client(path, "create=0"))[:2]
    assert (201, b"Created") == (await client(path, "create=1"))[:2]
    assert (200, b"OK") == (await client(path, "create=1"))[:2]


async def test_answers_carry_what_clients_read(world: World, client: Client) -> None:
    check = await world.check(T0)
    _, _, headers = await client(f"/ping/{check.ping_uuid}", method="HEAD")

    assert b"1000" == headers[b"ping-body-limit"]
    assert b"*" == headers[b"access-control-allow-origin"]
    assert b"text/plain; charset=utf-8" == headers[b"content-type"]
    assert b"2" == headers[b"content-length"]


async def test_a_preflight_is_no_ping_and_other_methods_are_refused(world: World, client: Client) -> None:
    check = await world.check(T0)

    status, body, headers = await client(f"/ping/{check.ping_uuid}", method="OPTIONS")
    assert (204, b"", b"GET, HEAD, POST") == (status, body, headers[b"access-control-allow-methods"])
    assert 405 == (await client(f"/ping/{check.ping_uuid}", method="DELETE"))[0]
    assert [] == await world.pings_of(check)


async def test_a_long_body_is_cut_never_refused(world: World, client: Client, db: Database) -> None:
    check = await world.check(T0)
    chunks = [b"\xff\xfe" * 300, b"x" * 300, b"y" * 300, b"z" * 5_000_000]

    assert 200 == (await client(f"/ping/{check.ping_uuid}", method="POST", body=chunks))[0]

    async with db.read() as read:
        kept = (await read.execute(sa.select(ping_bodies.c.body))).scalar_one()
    assert b"".join(chunks)[:1000] == kept
    assert [5_001_200] == [ping.body_size for ping in await world.pings_of(check)]


@pytest.mark.parametrize("parts", [1, 7, 4096])
async def test_the_end_of_a_long_body_is_told_with_its_figures(
    world: World, client: Client, db: Database, parts: int
) -> None:
    check = await world.check(T0)
    said = b"first=1 " + b"copied a file\n" * 4000 + b"rows=12\nOSError: no space left"
    size = -(-len(said) // parts)
    chunks = [said[i : i + size] for i in range(0, len(said), size)]
    config = {"url": "https://hooks.example.com/x"}
    await db.write(
        lambda tx: create_channel(
            tx, check.pid, kind="webhook", name="ops", config=config, at=T0, ids=world.ids, sealer=SEALER
        )
    )

    await client(f"/ping/{check.ping_uuid}/fail", method="POST", body=chunks)

    async with db.read() as read:
        rows = await read.execute(sa.select(run_metrics.c.name, run_metrics.c.value))
        found = {row.name: row.value for row in rows}
        (run,) = [payload["run"] for payload in (await read.execute(sa.select(alerts.c.payload))).scalars()]
    assert {"first": Decimal(1), "rows": Decimal(12)} == found
    assert (said[-10_000:].decode(), True) == (run["body_tail"], run["body_cut"])


async def test_what_came_with_a_ping_is_kept(world: World, client: Client, db: Database) -> None:
    check = await world.check(T0)
    query = f"rid={RID}&metric=rows:10&metric=cost=0.5"
    agent = "x" * 300

    await client(f"/ping/{check.ping_uuid}/3", query, method="POST", body=[b"rows=9"], agent=agent)

    (ping,) = await world.pings_of(check)
    assert (RID.lower(), 3, "POST", "http", "192.0.2.7", "x" * 200) == (
        ping.rid,
        ping.exit_status,
        ping.method,
        ping.scheme,
        ping.remote,
        ping.agent,
    )
    async with db.read() as read:
        rows = await read.execute(sa.select(run_metrics.c.name, run_metrics.c.value))
        found = {row.name: row.value for row in rows}
    assert {"rows": Decimal(10), "cost": Decimal("0.5")} == found


async def test_a_body_that_broke_off_is_no_ping(world: World, client: Client, ingest: Ingest) -> None:
    check = await world.check(T0)

    assert 400 == (await client(f"/ping/{check.ping_uuid}", method="POST", body=[]))[0]
    assert [] == await world.pings_of(check)
    assert {} == ingest.under_way()


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (OverloadedError("full", retry_after=2), 503, b"2"),
        (StoreError("broken"), 503, b"30"),
        (MemoryError(), 503, b"5"),
        (RuntimeError("can't start new thread"), 503, b"5"),
        (RuntimeError("a fault of ours"), 500, None),
    ],
)
async def test_what_was_not_stored_is_never_answered_with_ok(
    world: World, ingest: Ingest, client: Client, error: Exception, status: int, retry: bytes | None
) -> None:
    check = await world.check(T0)

    async def refuse(*_: object, **__: object) -> None:
        raise error

    ingest._database.submit = refuse  # type: ignore[method-assign]
    code, _, headers = await client(f"/ping/{check.ping_uuid}")

    assert (status, retry) == (code, headers.get(b"retry-after"))
    # The job has done its part, so its slot is excused; a fault that one ping meets excuses no other check.
    assert (503 == status) is (ingest.refusals.span() is not None)


@pytest.mark.parametrize("path", ["/ping/nothing", "{}/256", "{}?rid=x", "{}?metric=rows"])
async def test_what_the_client_did_wrong_excuses_no_slot_and_leaves_a_line(
    world: World, ingest: Ingest, client: Client, path: str
) -> None:
    written = io.StringIO()
    logs.configure(SimpleNamespace(level="info", format="json"), written, now=SystemClock().now)
    check = await world.check(T0)

    code = (await client(path.format(f"/ping/{check.ping_uuid}")))[0]

    assert code in {400, 404}
    assert ingest.refusals.span() is None
    [told] = [json.loads(one) for one in written.getvalue().splitlines()]
    assert ("ping", "refused", code) == (told["event"], told["outcome"], told["code"])


async def test_the_oldest_signal_to_each_address_is_known_until_it_is_committed(ingest: Ingest) -> None:
    one, other = ByUuid("one"), BySlug("key", "other")
    first, first_at = ingest.arrived(one)
    second, second_at = ingest.arrived(one)
    third, third_at = ingest.arrived(other)

    assert {one: first_at, other: third_at} == ingest.under_way()
    ingest.gone(first)
    assert {one: second_at, other: third_at} == ingest.under_way()
    ingest.gone(second)
    ingest.gone(third)
    assert {} == ingest.under_way()


@pytest.mark.parametrize("path", ["/ping/nothing", "/ping/c0ffee00-dead-4bee-8fed-0123456789ab/neither"])
async def test_what_is_no_ping_address_is_never_under_way(client: Client, ingest: Ingest, path: str) -> None:
    seq = ingest.arrived(ByUuid("one"))[0]

    assert 404 == (await client(path, method="POST", body=[]))[0]
    assert seq + 1 == ingest.arrived(ByUuid("one"))[0]


@pytest.mark.parametrize(
    ("path", "pings"),
    [
        ("/ping/x", True),
        ("/c0ffee00-dead-4bee-8fed-0123456789ab", True),
        ("/AbCdEfGhIjKlMnOpQrStUv/slug", True),
        ("/", False),
        ("/v1/checks", False),
        ("/p/main/checks", False),
        ("/healthz", False),
    ],
)
def test_only_ping_addresses_go_to_the_door(path: str, pings: bool) -> None:  # noqa: FBT001 - a column of the table
    assert pings is is_ping(path)
