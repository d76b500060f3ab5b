"""Gates and coverage over the native API: written as text or part by part, read back, explained, told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import START
from tests.api.door import House
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
LINES = [
    "rows > 0 warn",
    "rejected / events < 1%",
    "duration < 15m",
    "events within 40% of median(same weekday, 4 weeks)",
    "coverage unbroken warn",
]
PARTS = [
    {"metric": "rows", "op": ">", "value": "0", "level": "warn"},
    {"metric": "rejected", "op": "<", "value": "1%", "level": "fail", "over": "events"},
    {"metric": "duration", "op": "<", "value": "15m", "level": "fail"},
    {
        "metric": "events",
        "op": "within",
        "value": "40%",
        "level": "fail",
        "of": "median(same weekday, 4 weeks)",
    },
    {"metric": "coverage", "op": "unbroken", "level": "warn"},
]


async def made(house: House, gates: list[Any]) -> Any:
    asked = {"name": "Daily", "schedule": {"kind": "period", "period": 86400}, "grace": 2 * 86400, "gates": gates}
    reply = await house.full("POST", "/v1/checks", asked)
    assert 201 == reply.status, reply.body
    return reply.json


async def row_of(house: House, check: Any) -> Any:
    class Named:
        uuid = check["id"]
        ping_uuid = check["ping_url"].rpartition("/")[2]

    return Named


async def test_gates_are_texts_or_parts_and_read_back_as_they_may_be_sent(house: House) -> None:
    check = await made(house, [*LINES[:2], *PARTS[2:]])

    assert PARTS == check["gates"]
    again = await house.full("PATCH", f"/v1/checks/{check['id']}", {"gates": check["gates"]})
    assert (200, PARTS) == (again.status, again.json["gates"])


@on_sqlite
@pytest.mark.parametrize(
    ("gate", "field"),
    [
        ("rows", "gates[0]"),
        ("events within 40% of median(2 days)", "gates[0]"),
        ({"metric": "rows", "op": "<", "value": "15m"}, "gates[0].value"),
        ({"metric": "rows", "op": ">"}, "gates[0].value"),
        ({"metric": "rows", "op": "within", "value": "4%", "of": "mean(4 weeks)"}, "gates[0].of"),
        ({"metric": "rows", "op": ">", "value": 1, "over": "rows"}, "gates[0].over"),
        ({"metric": "rows", "op": "unbroken"}, "gates[0].metric"),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_gate_is_told_with_its_place(house: House, gate: Any, field: str) -> None:
    reply = await house.full("POST", "/v1/checks", {"name": "Daily", "gates": [gate]})

    assert (422, [field]) == (reply.status, reply.fields)


async def test_an_explanation_says_what_has_nothing_to_compare_with_yet(house: House, clock: SimClock) -> None:
    check = await made(house, [LINES[3]])
    row = await row_of(house, check)
    for n in range(3):
        await house.world.ping(row, START + n * DAY, body=b"events=1204")
    clock.move_to(START + 3 * DAY)

    told = (await house.read("GET", f"/v1/checks/{check['id']}/explain")).json

    assert (
        "The gate events within 40% of median(same weekday, 4 weeks) has nothing to compare with yet: 3 of 7 past days "
        "with a run that went well are known. Until then it holds for any figure." in told["sentences"]
    )


async def test_what_was_seen_and_expected_is_explained(house: House, clock: SimClock) -> None:
    check = await made(house, [f"{LINES[3]} warn"])
    row = await row_of(house, check)
    for n in range(28):
        await house.world.ping(row, START + n * DAY, body=b"events=1204")
    clock.move_to(START + 28 * DAY)
    await house.world.ping(row, START + 28 * DAY, body=b"events=12")

    told = (await house.read("GET", f"/v1/checks/{check['id']}/explain")).json

    seen, expected = "is 12", "within 40% of 1,204 (median of 4 Mondays)"
    assert "degraded" == told["status"]
    assert [{"gate": LINES[3], "level": "warn", "seen": seen, "expected": expected}] == told["breaches"]
    assert f"its figures break {LINES[3]} (events {seen}, expected {expected})." in told["explain"]


async def test_coverage_is_read_with_its_gaps(house: House) -> None:
    check = await made(house, ["coverage unbroken warn"])
    row = await row_of(house, check)
    path = f"/v1/checks/{check['id']}/coverage"
    empty = (await house.read("GET", path)).json
    for n, (begins, ends) in enumerate((("01", "02"), ("03", "05"), ("04", "06"))):
        body = f'{{"from": "2026-02-{begins}T00:00:00Z", "to": "2026-02-{ends}T00:00:00Z"}}'.encode()
        await house.world.ping(row, START + n * DAY, body=body)
    told = (await house.read("GET", path)).json
    runs = (await house.read("GET", f"/v1/checks/{check['id']}/runs")).json["items"]

    def span(begins: str, ends: str) -> dict[str, str]:
        return {"from": f"2026-02-{begins}T00:00:00Z", "to": f"2026-02-{ends}T00:00:00Z"}

    nothing = {"level": "warn", "covered_until": None, "n_runs": 0, "whole": True}
    assert nothing | {"spans": [], "gaps": [], "overlaps": []} == empty
    assert {
        "level": "warn",
        "covered_until": "2026-02-06T00:00:00Z",
        "n_runs": 3,
        "whole": True,
        "spans": [span("01", "02"), span("03", "06")],
        "gaps": [span("02", "03")],
        "overlaps": [span("04", "05")],
    } == told
    assert ("2026-02-04T00:00:00Z", "2026-02-06T00:00:00Z") == (runs[0]["covers_from"], runs[0]["covers_to"])


async def test_coverage_of_no_check_is_not_found(house: House) -> None:
    assert 404 == (await house.read("GET", "/v1/checks/0f4e2f3a-7a3c-4a53-9f5c-2f6a3f1f0001/coverage")).status
