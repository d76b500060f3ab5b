"""Events are corrected at the API: what was wrong is seen beside what counts, and every step is in the audit."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from heartfly.api import event_bodies
from heartfly.core.events import event_of
from heartfly.usage import backfill_plan, backfill_preview, backfills, changed_figures, hands
from tests.api.door import House
from tests.api.test_events_door import event

pytestmark = pytest.mark.anyio

SET = {"name": "Monday again", "from": "2026-03-02T00:00:00Z", "to": "2026-03-02T12:00:00Z", "replaces": True}
METER = {"slug": "bytes", "event_types": ["api.request"], "aggregation": "sum", "value": "bytes"}


async def post(house: House, path: str, asked: Any = None, status: int = 200) -> Any:
    reply = await house.full("POST", path, asked)
    assert status == reply.status, reply.body
    return reply.json


async def audited(house: House) -> list[tuple[str, str]]:
    items = (await house.full("GET", "/v1/audit")).json["items"]
    wanted = ("event.", "backfill.")
    return [(one["action"], one["actor"].split(":")[0]) for one in items if one["action"].startswith(wanted)][::-1]


async def test_an_event_is_amended_voided_and_put_back_and_shows_what_it_was(house: House) -> None:
    await post(house, "/v1/events", [event(1, properties={"bytes": "5", "region": "eu"})])
    big = "12345678901234567890.123456789012345678"
    body = f'{{"transaction_id": "t-1", "reason": "wrong unit", "properties": {{"bytes": {big}, "region": "eu"}}}}'

    reply = await house.full("POST", "/v1/events/amend", body=body.encode())
    assert (200, True) == (reply.status, f'"bytes":{big}'.encode() in reply.body)
    (one,) = reply.json["corrections"]
    assert [{"field": "properties.bytes", "before": "5", "after": big}] == one["differences"]
    assert ("amend", "wrong unit", None, None) == (one["kind"], one["reason"], one["backfill"], one["undone_at"])

    voided = await post(house, "/v1/events/void", {"transaction_id": "t-1", "reason": "a test"})
    assert (False, ["void", "amend"]) == (voided["counts"], [each["kind"] for each in voided["corrections"]])
    assert [] == (await house.full("GET", "/v1/events")).json["items"]
    assert voided == (await house.full("GET", "/v1/events/t-1")).json

    for _ in range(2):
        back = await post(house, "/v1/events/undo", {"transaction_id": "t-1"})
    assert (True, "5") == (back["counts"], back["event"]["properties"]["bytes"])
    assert (await post(house, "/v1/events/undo", {"transaction_id": "t-1"}, 409))["detail"].startswith("no correction")
    assert ["event.amend", "event.void", "event.undo", "event.undo"] == [action for action, _ in await audited(house)]


async def test_corrections_are_listed_by_pages_and_by_kind(house: House) -> None:
    await post(house, "/v1/events", [event(number) for number in range(4)])
    for number in range(3):
        await post(house, "/v1/events/void", {"transaction_id": f"t-{number}", "reason": "x"})
    await post(house, "/v1/events/amend", {"transaction_id": "t-3", "reason": "x", "customer_id": "other"})

    assert [] == (await house.read("GET", "/v1/events/corrections?kind=replace")).json["items"]
    first = (await house.read("GET", "/v1/events/corrections?limit=3")).json
    rest = (await house.read("GET", f"/v1/events/corrections?limit=3&cursor={first['next']}")).json
    seen = [one["before"]["transaction_id"] for one in first["items"] + rest["items"]]
    assert (["t-3", "t-2", "t-1", "t-0"], None) == (seen, rest["next"])
    for query in ("kind=other", "backfill=x", "cursor=x"):
        assert 422 == (await house.read("GET", f"/v1/events/corrections?{query}")).status


async def test_an_event_with_a_slash_in_its_name_is_corrected_too(house: House) -> None:
    await post(house, "/v1/events", [event(1) | {"transaction_id": "a/b"}])
    assert not (await post(house, "/v1/events/void", {"transaction_id": "a/b", "reason": "x"}))["counts"]


async def test_a_key_that_only_reads_corrects_nothing(house: House) -> None:
    await post(house, "/v1/events", [event(1)])
    for path, asked in (
        ("/v1/events/void", {"transaction_id": "t-1", "reason": "x"}),
        ("/v1/events/undo", {"transaction_id": "t-1"}),
        ("/v1/backfills", SET),
    ):
        assert 403 == (await house.read("POST", path, asked)).status


async def test_a_set_is_opened_filled_foreseen_closed_and_reverted(house: House) -> None:
    await post(house, "/v1/meters", METER, 201)
    await post(house, "/v1/events", [event(1, properties={"bytes": "5"}), event(2, properties={"bytes": "7"})])
    made = await post(house, "/v1/backfills", SET, 201)
    path = f"/v1/backfills/{made['id']}"
    assert ("open", {}, 0) == (made["state"], made["counts"], made["n_events"])

    told = await post(house, f"{path}/events", [
        event(1, properties={"bytes": "5"}), event(2, properties={"bytes": "0.1"}), event(3, properties={"bytes": "1"}),
        event(4, timestamp="2026-03-02T12:00:00Z"), {},
    ])  # fmt: skip
    assert (3, 2) == (told["accepted"], told["rejected"])
    assert [(3, "timestamp"), (4, "transaction_id")] == [
        (one["index"], one["field"]) for one in told["results"] if one["outcome"] == "rejected"
    ]
    assert 0 == len((await house.full("GET", "/v1/dead-letters")).json["items"])

    ahead = (await house.read("GET", f"{path}/preview")).json
    assert {"added": 1, "same": 1, "changed": 1, "again": 0, "duplicate": 0, "conflict": 0, "replaced": 0} == (
        ahead["counts"]
    )
    (change,) = ahead["changes"]
    assert ("2026-03-02", "bytes", "12", "6.1", 2, 3) == tuple(
        change[name] for name in ("day", "meter", "before", "after", "events_before", "events_after")
    )

    closed = await post(house, f"{path}/close")
    assert ("closed", ahead["counts"]) == (closed["state"], closed["counts"])
    assert closed == await post(house, f"{path}/close")
    sent = (await house.read("GET", f"{path}/events?limit=2")).json
    more = (await house.read("GET", f"{path}/events?limit=2&cursor={sent['next']}")).json
    assert ["same", "changed", "added"] == [one["outcome"] for one in sent["items"] + more["items"]]
    assert 3 == len((await house.full("GET", "/v1/events")).json["items"])
    made_by_it = (await house.read("GET", f"/v1/events/corrections?backfill={made['id']}")).json["items"]
    assert [("amend", "Monday again", made["id"])] == [
        (one["kind"], one["reason"], one["backfill"]) for one in made_by_it
    ]

    back = await post(house, f"{path}/revert")
    assert "reverted" == back["state"]
    events = (await house.full("GET", "/v1/events")).json["items"]
    assert {"t-1": "5", "t-2": "7"} == {one["transaction_id"]: one["properties"]["bytes"] for one in events}
    assert ["backfill.open", "backfill.send", "backfill.close", "backfill.revert"] == [
        a for a, _ in await audited(house)
    ]
    listed = (await house.read("GET", "/v1/backfills?state=reverted")).json["items"]
    assert [back] == listed
    assert [] == (await house.read("GET", "/v1/backfills?state=open")).json["items"]


async def test_a_set_holds_and_replaces_no_more_than_one_transaction_takes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("heartfly.usage.backfills", "heartfly.usage.backfill_plan"):
        monkeypatch.setattr(f"{module}.MOST", 2)
    await post(house, "/v1/events", [event(number) for number in range(3)])
    made = await post(house, "/v1/backfills", SET, 201)
    path = f"/v1/backfills/{made['id']}"

    assert "at most 2" in (await post(house, f"{path}/events", [event(n) for n in range(3)], 409))["detail"]
    await post(house, f"{path}/events", [event(7)])
    assert "more than 2 events" in (await post(house, f"{path}/close", status=409))["detail"]
    assert 409 == (await house.read("GET", f"{path}/preview")).status
    assert 2 == backfill_plan.MOST


async def test_the_events_of_one_who_is_erased_do_not_come_back_by_an_undo(house: House) -> None:
    await post(house, "/v1/events", [event(n, customer_id="ann") for n in (1, 2)] + [event(3, customer_id="bob")])
    ann = await post(house, "/v1/customers", {"name": "Ann", "aliases": ["ann"]}, 201)
    made = await post(house, "/v1/backfills", SET, 201)
    path = f"/v1/backfills/{made['id']}"
    await post(house, f"{path}/events", [event(8, customer_id="ann"), event(9, customer_id="bob")])
    await post(house, f"{path}/close")
    await post(house, "/v1/events/amend", {"transaction_id": "t-9", "reason": "x", "customer_id": "ann"})
    await post(house, "/v1/events/undo", {"transaction_id": "t-9"})

    lines = (await house.full("GET", f"/v1/customers/{ann['id']}/export")).body.decode().splitlines()
    kinds = [json.loads(line).get("correction", {}).get("kind") for line in lines]
    assert {"replace": 2, "amend": 1} == {kind: kinds.count(kind) for kind in kinds if kind}

    await post(house, f"/v1/customers/{ann['id']}/erase?confirm={ann['id']}")
    await post(house, f"{path}/revert")

    assert ["t-3"] == [one["transaction_id"] for one in (await house.full("GET", "/v1/events")).json["items"]]
    kept = (await house.full("GET", "/v1/events/corrections")).body + (await house.full("GET", f"{path}/events")).body
    assert b"ann" not in kept
    for number in (1, 2, 8):
        assert 404 == (await house.full("GET", f"/v1/events/t-{number}")).status
        assert (await house.full("POST", "/v1/events/undo", {"transaction_id": f"t-{number}"})).status in {404, 409}


async def test_backfills_are_listed_with_what_was_sent_by_as_many_queries_as_one(
    house: House,
) -> None:
    for n in range(3):
        made = await post(house, "/v1/backfills", SET, 201)
        if n:
            await post(house, f"/v1/backfills/{made['id']}/events", [event(one) for one in range(n)])

    async def listed(limit: int) -> tuple[list[int], int]:
        n = 0

        def seen(*_: object) -> None:
            nonlocal n
            n += 1

        sa.event.listen(sa.Engine, "before_cursor_execute", seen)
        items = (await house.read("GET", f"/v1/backfills?limit={limit}")).json["items"]
        sa.event.remove(sa.Engine, "before_cursor_execute", seen)
        return [one["n_events"] for one in items], n

    await listed(1)  # whose the key is, is asked once
    one, by_one = await listed(1)
    every, by_every = await listed(10)

    assert ([2], [2, 1, 0]) == (one, every)
    assert by_one == by_every > 0


async def foreseen(house: House, path: str, asked: dict[str, Any]) -> Any:
    """Of a dry run, which leaves everything as it was."""
    before = (await house.full("GET", "/v1/events")).json, await audited(house)
    told = await post(house, f"{path}?dry_run=true", {"reason": "x"} | asked)
    assert before == ((await house.full("GET", "/v1/events")).json, await audited(house))
    assert [] == told["corrections"]
    return told["preview"]


def of_figures(preview: Any) -> list[tuple[Any, ...]]:
    names = ("day", "meter", "name", "before", "after", "events_before", "events_after")
    return [tuple(one[name] for name in names) for one in preview["changes"]]


@pytest.fixture
async def used(house: House) -> str:
    """Two meters and three events of yesterday and today: the id of the customer who is `ann` and `anne`."""
    await post(house, "/v1/meters", METER, 201)
    await post(house, "/v1/meters", {"slug": "jobs", "event_types": ["job"], "aggregation": "count"}, 201)
    await post(house, "/v1/events", [
        event(1, customer_id="ann", properties={"bytes": "0.1"}), event(2, customer_id="bob"),
        event(3, customer_id="ann", properties={"bytes": "0.000000000000000002"}, timestamp="2026-03-01T23:00:00Z"),
    ])  # fmt: skip
    made = await post(house, "/v1/customers", {"name": "Ann", "aliases": ["ann", "anne"]}, 201)
    return str(made["id"])


async def test_a_dry_run_of_a_void_tells_what_it_would_change(house: House, used: str) -> None:
    preview = await foreseen(house, "/v1/events/void", {"transaction_id": "t-1"})

    assert ("UTC", []) == (preview["zone"], preview["differences"])
    assert [("2026-03-02", "bytes", "Ann", "0.1", None, 1, 0)] == of_figures(preview)
    assert [used] == [one["customer"] for one in preview["changes"]]
    await post(house, "/v1/events/void", {"transaction_id": "t-1", "reason": "x"})
    again = await post(house, "/v1/events/void?dry_run=true", {"transaction_id": "t-1", "reason": "x"})
    assert ([], False) == (again["preview"]["changes"], again["counts"])


MONDAY, SUNDAY = "2026-03-02", "2026-03-01"
GONE = (MONDAY, "bytes", "Ann", "0.1", None, 1, 0)
MUCH = "3.000000000000000001"
AMENDMENTS: list[tuple[dict[str, Any], list[tuple[Any, ...]]]] = [
    ({"properties": {"bytes": MUCH}}, [(MONDAY, "bytes", "Ann", "0.1", MUCH, 1, 1)]),
    ({"customer_id": "anne"}, []),
    ({"customer_id": "cid"}, [GONE, (MONDAY, "bytes", "cid", None, "0.1", 0, 1)]),
    ({"customer_id": "bob"}, [GONE, (MONDAY, "bytes", "bob", "2", "2.1", 1, 2)]),
    ({"event_type": "job"}, [GONE, (MONDAY, "jobs", "Ann", None, "1", 0, 1)]),
    (
        {"timestamp": "2026-03-01T23:30:00Z"},
        [(SUNDAY, "bytes", "Ann", "0.000000000000000002", "0.100000000000000002", 1, 2), GONE],
    ),
]


async def test_a_dry_run_of_an_amendment_tells_what_it_would_change(house: House, used: str) -> None:
    """Also to a name or a type that nobody has heard of before."""
    for change, wanted in AMENDMENTS:
        preview = await foreseen(house, "/v1/events/amend", {"transaction_id": "t-1"} | change)

        assert wanted == of_figures(preview), change
        field = "properties.bytes" if "properties" in change else next(iter(change))
        assert [field] == [one["field"] for one in preview["differences"]]


async def test_a_dry_run_is_refused_as_what_it_is_a_dry_run_of(house: House, used: str) -> None:
    for asked, status in (
        ({"transaction_id": "none"}, 404),
        ({"transaction_id": "t-1", "reason": ""}, 422),
        ({"transaction_id": "t-1", "timestamp": "never"}, 422),
        ({"transaction_id": "t-1"}, 422),
    ):
        reply = await house.full("POST", "/v1/events/amend?dry_run=true", {"reason": "x"} | asked)
        assert status == reply.status, asked
    void = {"transaction_id": "t-1", "reason": "x"}
    assert 422 == (await house.full("POST", "/v1/events/void?dry_run=perhaps", void)).status
    assert 403 == (await house.read("POST", "/v1/events/void?dry_run=true", void)).status
    await post(house, "/v1/events/void", void)
    assert 409 == (await house.full("POST", "/v1/events/amend?dry_run=true", void | {"customer_id": "x"})).status


async def test_a_preview_reads_and_tells_no_more_than_it_may(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await post(house, "/v1/meters", METER, 201)
    await post(house, "/v1/events", [event(number, customer_id=f"c-{number}") for number in range(1, 4)])
    made = await post(house, "/v1/backfills", SET, 201)
    path = f"/v1/backfills/{made['id']}/preview"
    void = {"transaction_id": "t-1", "reason": "x"}

    monkeypatch.setattr(backfill_preview, "MOST_ITEMS", 2)
    told = (await house.read("GET", path)).json
    assert (["c-1", "c-2"], 1) == ([one["name"] for one in told["changes"]], told["more"])

    monkeypatch.setattr(changed_figures, "MOST_READ", 0)
    for reply in (await house.read("GET", path), await house.full("POST", "/v1/events/void?dry_run=true", void)):
        assert (409, True) == (reply.status, "too many events of these days" in reply.json["detail"])

    monkeypatch.setattr(hands, "_MOST_WAITING", 0)
    for reply in (await house.read("GET", path), await house.full("POST", "/v1/events/void?dry_run=true", void)):
        assert (503, "5") == (reply.status, reply.headers["retry-after"])


@pytest.mark.parametrize(("size", "is_beside"), [(10, False), (event_bodies.LARGE, True)])
async def test_large_bodies_of_a_backfill_are_looked_at_beside_the_event_loop(
    house: House, monkeypatch: pytest.MonkeyPatch, size: int, *, is_beside: bool
) -> None:
    threads: set[bool] = set()

    def seen(*given: Any, **more: Any) -> Any:
        threads.add(threading.current_thread() is not threading.main_thread())
        return event_of(*given, **more)

    monkeypatch.setattr(backfills, "event_of", seen)
    made = await post(house, "/v1/backfills", SET, 201)
    n = size // 4_000 + 1
    some = [event(number, properties={"text": "x" * 4_000}) for number in range(n)]

    told = await post(house, f"/v1/backfills/{made['id']}/events", some)

    assert (n, {is_beside}) == (told["accepted"], threads)
