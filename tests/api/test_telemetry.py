"""Signals in the words of other services, through the front to the database: each as its own client sends it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import brotli
import pytest
import sqlalchemy as sa

from heartfly.api.compat.telemetry.door import TelemetryDoor
from heartfly.api.compat.telemetry.rooms import ROOMS, room_of
from heartfly.api.ping import PingDoor
from heartfly.clock import SystemClock
from heartfly.db.models import checks, pings
from heartfly.pings.ingest import Ingest
from tests.api.door import Door, House, Reply, state_of

pytestmark = pytest.mark.anyio

SERIES = "1774000000.123"
CHECK_IN = "5d0c4c3e9a591b0c0302aa017f1f2b0e"


class Telemetry:
    """Whoever asks: a call goes to the room that takes it, which must be there."""

    def __init__(self, house: House) -> None:
        state = state_of(house.world.db, SystemClock(), house.world.ids)
        ping = PingDoor(
            Ingest(house.world.db, house.world.applier, SystemClock()),
            max_body=10_000,
            client_address=lambda scope: (scope["client"][0], scope["scheme"]),
        )
        self._door = TelemetryDoor(state, ping, house.full.api.guard)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        room = room_of(scope["path"], scope["query_string"])
        assert room is not None, scope["path"]
        await self._door(room, scope, receive, send)


@pytest.fixture
def ask(house: House) -> Door:
    return Door(Telemetry(house), "")  # type: ignore[arg-type] # it speaks ASGI, too


async def the_check(house: House, slug: str = "nightly") -> Any:
    async with house.world.db.read() as read:
        query = sa.select(checks).where(checks.c.pid == house.world.project.pid, checks.c.slug == slug)
        return (await read.execute(query)).one()


async def signals(house: House, check: Any) -> list[tuple[str, int | None]]:
    async with house.world.db.read() as read:
        query = sa.select(pings.c.kind, pings.c.exit_status).where(pings.c.check_id == check.id).order_by(pings.c.n)
        return [(row.kind, row.exit_status) for row in await read.execute(query)]


def key(house: House) -> str:
    return house.world.project.ping_key


# --- Cronitor


@pytest.mark.parametrize("door", ["p", "ping"])
async def test_a_run_of_cronitors_python_client_is_one_run(house: House, ask: Door, door: str) -> None:
    for state, more in (
        ("run", {"message": "begins"}),
        ("complete", {"metric": ["duration:0.0078", "count:3", "error_count:7.8e-05", "odd"], "status_code": "0"}),
    ):
        query = urlencode(
            {"state": state, "series": SERIES, "stamp": "1774000000.5", "host": "web-1", "env": "prod"} | more,
            doseq=True,
        )
        reply = await ask("GET", f"/{door}/{key(house)}/Nightly?{query}")
        assert (200, b"OK") == (reply.status, reply.body)

    check = await the_check(house)
    (run,) = (await house.full("GET", f"/v1/checks/{check.uuid}/runs")).json["items"]
    assert [("start", None), ("success", 0)] == await signals(house, check)
    assert ("ok", {"count": "3", "duration": "0.0078", "error_count": "0.000078"}) == (run["outcome"], run["metrics"])


async def test_a_heartbeat_without_a_state_is_a_success_and_a_failure_has_its_status(house: House, ask: Door) -> None:
    assert 200 == (await ask("GET", f"/p/{key(house)}/nightly?stamp=1&metric=count%3A2")).status
    told = await ask("GET", f"/ping/{key(house)}/nightly?state=fail&status_code=127&msg=no+such+command&try=2")

    assert (200, [("success", None), ("fail", 127)]) == (told.status, await signals(house, await the_check(house)))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/p/KEY/nightly?state=paused", 400),
        ("/p/KEY/!!!?state=run", 404),
        ("/p/AAAAAAAAAAAAAAAAAAAAAA/x?state=run", 404),
    ],
)
async def test_what_cronitor_would_not_send_is_refused(house: House, ask: Door, path: str, status: int) -> None:
    assert status == (await ask("GET", path.replace("KEY", key(house)))).status


async def test_older_addresses_have_the_state_at_their_end(house: House, ask: Door) -> None:
    made = (await house.full("POST", "/v1/checks", {"name": "old"})).json
    code = made["ping_url"].rpartition("/")[2]

    answers = [(await ask("GET", f"/{code}/{state}")).status for state in ("run", "complete")]

    assert ([200, 200], [("start", None), ("success", None)]) == (
        answers, await signals(house, await the_check(house, "old")),
    )  # fmt: skip


async def test_a_client_that_knows_an_api_key_alone_tells_its_runs_with_it(
    house: House, neighbour: House, ask: Door
) -> None:
    made = await house.full("POST", "/v1/keys", {"name": "sender", "scopes": ["ingest"]})
    answers = [
        (await ask("GET", f"/{door}/{one}/nightly?state=run&series=1")).status
        for door, one in (
            ("p", house.full.key), ("ping", house.full.key), ("p", house.read.key), ("p", made.json["secret"]),
            ("p", "hf_" + "0" * 43),
        )
    ]  # fmt: skip

    assert [200, 200, 403, 403, 404] == answers
    assert [("start", None)] * 2 == await signals(house, await the_check(house))
    assert [] == (await neighbour.full("GET", "/v1/checks")).json["items"]


# --- Uptime Kuma


@pytest.mark.parametrize("spelled", ["dashes", "plain"])
async def test_a_push_that_says_start_is_no_success(house: House, ask: Door, spelled: str) -> None:
    made = (await house.full("POST", "/v1/checks", {"name": "kuma"})).json
    token = made["ping_url"].rpartition("/")[2]
    token = token if spelled == "dashes" else token.replace("-", "")

    for query in ("status=up&msg=start", "status=up&msg=OK&ping=12.5", "status=down&msg=fail", ""):
        reply = await ask("GET", f"/api/push/{token}?{query}")
        assert (200, {"ok": True}) == (reply.status, reply.json)

    told = await signals(house, await the_check(house, "kuma"))
    assert [("start", None), ("success", None), ("fail", None), ("success", None)] == told


@pytest.mark.parametrize("token", ["nobody", "0" * 32])
async def test_a_push_to_nobody_is_told_as_kuma_does(ask: Door, token: str) -> None:
    reply = await ask("GET", f"/api/push/{token}?status=up")
    assert (404, False) == (reply.status, reply.json["ok"])


# --- Opsgenie, Alertmanager, Cronhub


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH"])
async def test_an_opsgenie_heartbeat_is_a_ping(house: House, ask: Door, method: str) -> None:
    await house.full("POST", "/v1/checks", {"name": "beat", "slug": "my-beat"})

    told = await ask(method, "/v2/heartbeats/My%20beat/ping", headers=[("authorization", f"GenieKey {key(house)}")])
    by_query = await ask(method, f"/v2/heartbeats/my-beat/ping?apiKey={key(house)}")
    nobody = await ask(method, "/v2/heartbeats/my-beat/ping", headers=[("authorization", "GenieKey nobody")])
    missing = await ask(method, f"/v2/heartbeats/other/ping?apiKey={key(house)}")

    assert [202, 202, 401, 404] == [one.status for one in (told, by_query, nobody, missing)]
    assert "PONG - Heartbeat received" == told.json["result"]
    assert [("success", None)] * 2 == await signals(house, await the_check(house, "my-beat"))


async def test_a_watchdog_that_is_resolved_is_a_failure(house: House, ask: Door) -> None:
    made = (await house.full("POST", "/v1/checks", {"name": "prom"})).json
    code = made["ping_url"].rpartition("/")[2]
    for status in ("firing", "resolved"):
        told = {"version": "4", "status": status, "receiver": "heartfly", "alerts": [{"status": status}]}
        for path in (f"/ping/{code}/alertmanager", f"/ping/{key(house)}/prom/alertmanager"):
            assert 200 == (await ask("POST", path, told)).status

    refused = [(await ask("POST", f"/ping/{code}/alertmanager", body=body)).status for body in (b"", b"[]", b"{")]
    assert [400] * 3 == refused
    kinds = [kind for kind, _ in await signals(house, await the_check(house, "prom"))]
    assert ["success", "success", "fail", "fail"] == kinds


async def test_cronhubs_addresses_start_finish_and_fail(house: House, ask: Door) -> None:
    made = (await house.full("POST", "/v1/checks", {"name": "hub"})).json
    code = made["ping_url"].rpartition("/")[2]

    answers = [(await ask("POST", f"/{state}/{code}", body=b"out")).status for state in ("start", "finish", "fail")]

    kinds = [kind for kind, _ in await signals(house, await the_check(house, "hub"))]
    assert ([200] * 3, ["start", "success", "fail"]) == (answers, kinds)


# --- Sentry


def envelope(*items: tuple[dict[str, Any], bytes], dsn: str = "") -> bytes:
    head = {"sent_at": "2026-03-02T10:00:00Z"} | ({"dsn": dsn} if dsn else {})
    lines = [json.dumps(head).encode()]
    for header, payload in items:
        lines += [json.dumps(header).encode(), payload]
    return b"\n".join(lines) + b"\n"


def check_in(status: str, **more: Any) -> tuple[dict[str, Any], bytes]:
    told = {"monitor_slug": "nightly", "check_in_id": CHECK_IN, "status": status} | more
    payload = json.dumps(told).encode()
    return {"type": "check_in", "length": len(payload)}, payload


CONFIG = {
    "schedule": {"type": "crontab", "value": "30 2 * * *"}, "timezone": "Europe/Berlin", "checkin_margin": 15,
    "max_runtime": 90,
}  # fmt: skip


async def sent(ask: Door, house: House, body: bytes, *, auth: str = "header", packed: bool = False) -> Reply:
    named = f"Sentry sentry_version=7, sentry_key={key(house)}, sentry_client=x/1"
    headers: Sequence[tuple[str, str]] = [("x-sentry-auth", named)] if auth == "header" else []
    headers = [*headers, *([("content-encoding", "gzip")] if packed else [])]
    query = f"?sentry_version=7&sentry_key={key(house)}" if auth == "query" else ""
    body = gzip.compress(body) if packed else body
    return await ask("POST", f"/api/1/envelope/{query}", body=body, headers=headers)


@pytest.mark.parametrize(("auth", "packed"), [("header", True), ("query", False), ("dsn", False)])
async def test_check_ins_of_an_envelope_are_one_run_of_the_check_that_they_describe(
    house: House,
    ask: Door,
    auth: str,
    packed: bool,  # noqa: FBT001 - a table of cases
) -> None:
    dsn = f"https://{key(house)}@heartfly.example.com/1" if auth == "dsn" else ""
    other = ({"type": "event"}, b'{"message": "left alone"}')
    for status in ("in_progress", "ok"):
        item = check_in(status, monitor_config=CONFIG, duration=1.5)
        reply = await sent(ask, house, envelope(other, item, dsn=dsn), auth=auth, packed=packed)
        assert 200 == reply.status

    check = await the_check(house)
    assert ("cron", "30 2 * * *", "Europe/Berlin", 900, 5_400) == (
        check.kind, check.expression, check.zone, check.grace_s, check.max_run_s,
    )  # fmt: skip
    assert [("start", None), ("success", None)] == await signals(house, check)
    (run,) = (await house.full("GET", f"/v1/checks/{check.uuid}/runs")).json["items"]
    assert ("ok", {"duration": "1.5"}) == (run["outcome"], run["metrics"])


async def test_what_a_person_has_set_no_check_in_changes(house: House, ask: Door) -> None:
    schedule = {"kind": "period", "period": 600}
    await house.full("POST", "/v1/checks", {"name": "nightly", "schedule": schedule, "grace": 60})

    assert 200 == (await sent(ask, house, envelope(check_in("ok", monitor_config=CONFIG)))).status

    check = await the_check(house)
    assert ("period", 600, 60) == (check.kind, check.period_s, check.grace_s)


async def test_what_the_client_itself_has_set_follows_it_and_what_a_person_set_since_stays(
    house: House, ask: Door
) -> None:
    assert 200 == (await sent(ask, house, envelope(check_in("in_progress", monitor_config=CONFIG)))).status
    uuid = (await the_check(house)).uuid
    assert 200 == (await house.full("PATCH", f"/v1/checks/{uuid}", {"grace": 60})).status

    moved = CONFIG | {"schedule": {"type": "crontab", "value": "30 4 * * *"}, "checkin_margin": 20}
    assert 200 == (await sent(ask, house, envelope(check_in("ok", monitor_config=moved)))).status

    check = await the_check(house)
    assert ("30 4 * * *", 60, 5_400) == (check.expression, check.grace_s, check.max_run_s)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"failure_issue_threshold": 3}, (3, 1)), ({"recovery_threshold": 2}, (1, 2)),
        ({"failure_issue_threshold": 500, "recovery_threshold": 4}, (20, 4)),
        ({"failure_issue_threshold": 1, "recovery_threshold": 1}, None), ({"failure_issue_threshold": "x"}, None),
        ({"failure_issue_threshold": True, "recovery_threshold": 0}, None),
    ],
)  # fmt: skip
async def test_thresholds_of_check_ins_are_the_check_s_tolerance(
    house: House, ask: Door, told: dict[str, Any], expected: tuple[int, int] | None
) -> None:
    assert 200 == (await sent(ask, house, envelope(check_in("ok", monitor_config=CONFIG | told)))).status

    found = (await house.full("GET", f"/v1/checks/{(await the_check(house)).uuid}")).json["tolerance"]
    assert expected == (None if found is None else (found["failures"], found["recover"]))


async def test_a_check_that_its_first_ping_made_is_described_later(house: House, ask: Door) -> None:
    assert 200 == (await ask("GET", f"/p/{key(house)}/nightly?state=ok")).status
    assert 200 == (await sent(ask, house, envelope(check_in("ok", monitor_config=CONFIG)))).status

    assert ("cron", "30 2 * * *") == ((await the_check(house)).kind, (await the_check(house)).expression)


async def test_a_schedule_that_is_none_still_makes_the_check(house: House, ask: Door) -> None:
    wrong = {"schedule": {"type": "crontab", "value": "every now and then"}}
    interval = {"schedule": {"type": "interval", "value": 2, "unit": "hour"}}

    assert 200 == (await sent(ask, house, envelope(check_in("ok", monitor_config=wrong)))).status
    assert 200 == (await sent(ask, house, envelope(check_in("ok", monitor_slug="two", monitor_config=interval)))).status

    assert ("period", 86_400) == ((await the_check(house)).kind, (await the_check(house)).period_s)
    assert ("period", 7_200) == ((await the_check(house, "two")).kind, (await the_check(house, "two")).period_s)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_http_form_is_taken_as_borgmatic_sends_it(house: House, ask: Door, method: str) -> None:
    for status in ("in_progress", "ok", "error"):
        path = f"/api/7/cron/nightly/{key(house)}/?status={status}&environment=prod"
        assert 202 == (await ask(method, path)).status

    kinds = [kind for kind, _ in await signals(house, await the_check(house))]
    assert ["start", "success", "fail"] == kinds


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no json\n", 400),
        (b'{}\n{"type": "check_in"}\n[1]\n', 400),
        (envelope(check_in("maybe")), 400),
        (envelope(check_in("ok", monitor_slug="")), 400),
        (envelope(*[check_in("ok")] * 101), 413),
        (b"{}\n" + b"\n" * 1_000_000, 413),
        (b"{}\n\n\n" + envelope(check_in("ok")).partition(b"\n")[2], 200),
        (b"[" * 100_000, 400),
        (b'{"x":[' + b'{"a":{"a":0}},' * 60_000 + b"0]}\n", 400),
        (b'{}\n{"type": "check_in"}\n' + check_in("ok", x=[0] * 60_000)[1], 400),
        (b"{}", 200),
    ],
)
async def test_an_envelope_that_cannot_be_read_is_told_so(house: House, ask: Door, body: bytes, status: int) -> None:
    assert status == (await sent(ask, house, body)).status


async def test_a_key_that_is_none_of_ours_is_refused(house: House, ask: Door) -> None:
    told = envelope(check_in("ok"))
    wrong = await ask("POST", "/api/1/envelope/?sentry_key=abc", body=told)
    nobody = await ask("POST", f"/api/1/envelope/?sentry_key={'A' * 22}", body=told)

    assert [401, 404] == [wrong.status, nobody.status]


# --- which calls are theirs


@pytest.mark.parametrize(
    ("path", "query", "room"),
    [
        ("/ping/AbCdEfGhIjKlMnOpQrStUv/x", b"state=run", "cronitor"), ("/ping/AbCdEfGhIjKlMnOpQrStUv/x", b"", None),
        ("/ping/AbCdEfGhIjKlMnOpQrStUv/x", b"create=1&rid=1", None),
        ("/p/AbCdEfGhIjKlMnOpQrStUv/x", b"stamp=1", "cronitor"),
        ("/p/main/checks", b"state=down", None), ("/p/abcdefghijklmnopqrstuv/checks", b"state=down", None),
        ("/p/AbCdEfGhIjKlMnOpQrStUv/x", b"", None), ("/api/v1/checks/", b"", None), ("/api/v3/cron/x/y", b"", None),
        ("/api/1/envelope/", b"", "sentry"), ("/api/1/store/", b"", None), ("/api/monitors/envelope", b"", None),
        ("/p/hf_" + "0" * 43 + "/x", b"stamp=1", "cronitor"), ("/api/push/x", b"", "kuma"),
        ("/v2/heartbeats/x/ping", b"", "opsgenie"), ("/v1/checks", b"", None), ("/start/x", b"", None),
    ],
)  # fmt: skip
def test_a_call_is_theirs_by_its_shape(path: str, query: bytes, room: str | None) -> None:
    found = room_of(path, query)
    assert room == (None if found is None else found.name)
    assert len(ROOMS) == len({one.name for one in ROOMS})


@pytest.mark.parametrize("path", ["/api/1/envelope/", "/v2/heartbeats/x/ping", "/api/push/x"])
async def test_a_body_that_is_too_large_or_packed_wrongly_is_refused(ask: Door, path: str) -> None:
    large = await ask("POST", path, body=b"x" * (1024 * 1024 + 1))
    broken = await ask("POST", path, body=b"no gzip", headers=[("content-encoding", "gzip")])

    assert [413, 400] == [large.status, broken.status]


async def test_what_brotli_packed_is_read_within_bounds(house: House, ask: Door) -> None:
    named = [("x-sentry-auth", f"Sentry sentry_key={key(house)}"), ("content-encoding", "br")]
    good = brotli.compress(envelope(check_in("ok")))
    bomb = brotli.compress(b"\n" * (64 * 1024 * 1024))
    bodies = (good, bomb, good[:-3], b"no brotli", b"")

    answers = [(await ask("POST", "/api/1/envelope/", body=body, headers=named)).status for body in bodies]

    assert [200, 413, 400, 400, 400] == answers
    assert [("success", None)] == await signals(house, await the_check(house))


async def test_nothing_is_read_for_whoever_has_no_key(ask: Door) -> None:
    told = await ask("POST", "/api/1/envelope/", body=b"{}\n" + b"[" * 1_000_000)
    packed = await ask(
        "POST", "/api/1/envelope/", body=gzip.compress(b"\n" * 3_000_000), headers=[("content-encoding", "gzip")]
    )

    assert [401, 413] == [told.status, packed.status]
