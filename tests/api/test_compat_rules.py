"""What clients of other services rely on, whichever they are: the table of their room's README, and what it lacked."""

from __future__ import annotations

import asyncio
import base64
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api.compat.telemetry.signal import client_time
from heartfly.db.models import checks, pings
from tests.api.door import Door, House
from tests.api.test_telemetry import Telemetry, signals, the_check
from tests.api.theirs import writer

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "heartfly" / "api" / "compat" / "README.md").read_text(encoding="utf-8")
NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def ask(house: House) -> Door:
    return Door(Telemetry(house), "")  # type: ignore[arg-type] # it speaks ASGI, too


def test_each_of_the_thirteen_rules_has_its_tests() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", TABLE, re.MULTILINE)

    assert [str(n) for n in range(1, 14)] == [number for number, _, _ in rows]
    for _, _, told in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", told)
        assert named
        for path, name in named:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.MULTILINE), name


async def test_no_call_is_sent_elsewhere_for_a_slash(house: House, ask: Door) -> None:
    key = house.world.project.ping_key
    made = (await house.full("POST", "/v1/checks", {"name": "nightly"})).json
    uuid = made["ping_url"].rpartition("/")[2]

    told = [
        [(await ask("POST", f"{path}{slash}{query}")).status for slash in ("", "/")]
        for path, query in (
            (f"/p/{key}/nightly", "?state=ok"), (f"/ping/{key}/nightly", "?state=ok"), (f"/api/push/{uuid}", ""),
            ("/v2/heartbeats/nightly/ping", f"?apiKey={key}"), (f"/api/1/cron/nightly/{key}", "?status=ok"),
            (f"/start/{uuid}", ""), (f"/{uuid}/run", ""),
        )
    ]  # fmt: skip
    of_monitors = [(await house.full("GET", f"/api/monitors{slash}")).status for slash in ("", "/")]

    assert [[200, 200]] * 3 + [[202, 202]] * 2 + [[200, 200]] * 2 == told
    assert [200, 200] == of_monitors


async def test_unknown_keys_are_ignored_and_null_in_a_known_one_is_no_value(house: House) -> None:
    """Healthchecks refuses null in what it knows, and so do we there."""
    ask = writer(house)
    of_healthchecks = [
        (await ask("POST", "checks/", {"name": "a", "unknown": None, "management_api_token": {"a": 1}})).status,
        (await ask("POST", "checks/", {"name": "a", "desc": None})).status,
    ]
    of_cronitor = await house.full("PUT", "/api/monitors", {"monitors": [{"key": "b", "x": None, "note": None}]})

    assert ([201, 400], 200) == (of_healthchecks, of_cronitor.status)


async def test_addresses_end_in_the_uuid_and_errors_are_told_by_their_status(house: House) -> None:
    ask = writer(house)
    made = await ask.made(name="a")

    assert {made["uuid"]} == {made[name].rpartition("/")[2] for name in ("ping_url", "update_url")}
    missing = await ask("GET", "checks/3f0f8f9e-6a1c-4a55-8d4c-111111111111")
    nobody = await Door(house.full.api, "")("GET", "/api/v3/checks/")
    wrong = await ask("POST", "checks/", {"timeout": 1})
    assert [404, 401, 400] == [each.status for each in (missing, nobody, wrong)]
    assert all({"error"} == each.json.keys() for each in (missing, nobody, wrong))


async def test_a_start_alone_and_a_log_make_no_check_up(house: House, ask: Door) -> None:
    key = house.world.project.ping_key
    for query in ("state=run&series=1", "state=run"):
        assert 200 == (await ask("GET", f"/p/{key}/nightly?{query}")).status

    assert "new" == (await the_check(house)).status
    assert 200 == (await ask("GET", f"/p/{key}/nightly?state=complete&series=1")).status
    assert "up" == (await the_check(house)).status


async def test_no_key_stands_in_a_log_line_wherever_it_travels(
    house: House, ask: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    key, full = house.world.project.ping_key, house.full.key
    basic = base64.b64encode(f"{full}:".encode()).decode()
    nobody = Door(house.full.api, "")

    answers = [
        await ask("GET", f"/p/{key}/nightly?state=ok"),
        await ask("GET", f"/p/{full}/nightly?state=ok"),
        await ask("POST", f"/v2/heartbeats/nightly/ping?apiKey={key}"),
        await ask("POST", "/v2/heartbeats/nightly/ping", headers=[("authorization", f"GenieKey {key}")]),
        await nobody("GET", "/api/monitors", headers=[("authorization", f"Basic {basic}")]),
        await nobody("GET", "/api/v3/checks/", headers=[("x-api-key", full)]),
        await nobody("GET", f"/projects/x/metrics/{full}"),
        await ask("GET", f"/p/{'A' * 22}/nightly?state=ok"),
    ]

    assert [200, 200, 202, 202, 200, 200, 403, 404] == [each.status for each in answers]
    told = capsys.readouterr()
    assert "telemetry" in told.out + told.err
    assert [] == [secret for secret in (key, full, basic, "A" * 22) if secret in told.out + told.err]


async def test_a_client_s_time_is_kept_within_bounds_and_counts_nothing(house: House, ask: Door) -> None:
    key, began = house.world.project.ping_key, datetime.now(UTC)  # noqa: TID251 - as the client has it
    near = began - timedelta(minutes=5)
    for stamp in (f"{near.timestamp():.3f}", "0", "1e99", "soon", f"{(began + timedelta(days=5)).timestamp()}"):
        assert 200 == (await ask("GET", f"/p/{key}/nightly?state=ok&stamp={stamp}")).status

    async with house.world.db.read() as read:
        rows = (await read.execute(sa.select(pings.c.client_at, pings.c.received_at).order_by(pings.c.n))).all()
        (at,) = (await read.execute(sa.select(checks.c.last_ping_at))).one()
    assert [True, False, False, False, False] == [row.client_at is not None for row in rows]
    assert timedelta(milliseconds=1) > abs(rows[0].client_at - near)
    assert all(row.received_at >= began for row in rows)
    assert at >= began


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (str(NOW.timestamp()), NOW), (str(NOW.timestamp() - 4 * 86_400), NOW - timedelta(days=4)),
        (str(NOW.timestamp() - 4 * 86_400 - 1), None), ("", None), ("nan", None), ("-1e18", None), ("9" * 50, None),
    ],
)  # fmt: skip
async def test_a_time_too_far_from_ours_is_none(stamp: str, expected: datetime | None) -> None:
    assert expected == client_time(stamp, NOW)


async def test_a_figure_that_is_missing_is_not_zero(house: House, ask: Door) -> None:
    await house.full("POST", "/v1/checks", {"name": "nightly", "gates": ["rows == 0"]})
    key = house.world.project.ping_key

    assert 200 == (await ask("GET", f"/p/{key}/nightly?state=ok&metric=other:1")).status
    assert "down" == (await the_check(house)).status
    assert 200 == (await ask("GET", f"/p/{key}/nightly?state=ok&metric=rows:0&metric=other:1")).status
    assert "up" == (await the_check(house)).status


async def test_what_is_sent_again_is_one_signal(house: House, ask: Door) -> None:
    key = house.world.project.ping_key
    path = f"/p/{key}/nightly?state=complete&series=1&stamp=1774000000.5"

    again = [(await ask("GET", f"{path}{more}")).status for more in ("", "&try=2", "&host=b")]
    at_once = await asyncio.gather(*(ask("GET", f"/p/{key}/nightly?state=ok&stamp=2") for _ in range(5)))
    others = [
        (await ask("GET", f"/p/{key}/nightly?{query}")).status
        for query in ("state=fail&series=1&stamp=1774000000.5", "state=ok&stamp=3", "state=ok", "state=ok")
    ]

    assert ({200}, {200}) == ({*again, *others}, {each.status for each in at_once})
    kinds = [kind for kind, _ in await signals(house, await the_check(house))]
    assert ["success", "success", "fail", "success", "success", "success"] == kinds


async def test_what_could_not_be_taken_may_come_again(house: House, ask: Door) -> None:
    path: Any = f"/p/{'B' * 21}A/nightly?state=ok&stamp=1"

    assert [404, 404] == [(await ask("GET", path)).status for _ in range(2)]
