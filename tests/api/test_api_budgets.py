"""Budgets over the API: what they agree on, what they come to out of events that came, and what is refused and why."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.api.door import House, Reply
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = pytest.mark.anyio

MISSING = "00000000-0000-4000-8000-000000000000"
BUDGET = {"name": "Models", "currency": "USD", "amount": "100"}
NUMBER = iter(range(1, 1_000_000))


async def make(house: House, **asked: Any) -> Reply:
    return await house.full("POST", "/v1/budgets", BUDGET | asked)


async def made(house: House, **asked: Any) -> str:
    reply = await make(house, **asked)
    assert 201 == reply.status, reply.body
    found: str = reply.json["id"]
    return found


async def call(house: House, cost: str | None, at: str = "2026-03-02T09:00:00Z", **told: str) -> str:
    """Somebody called an API, and told what it cost. Returns how the event is called."""
    name = f"call-{next(NUMBER)}"
    properties = {"provider": "openai", "model": "gpt-5", "status": "200"} | told
    if cost is not None:
        properties |= {"cost": cost, "currency": told.get("currency", "USD")}
    event = {
        "transaction_id": name,
        "customer_id": told.get("customer", "acme"),
        "timestamp": at,
        "event_type": "api.call",
        "properties": {key: value for key, value in properties.items() if key != "customer"},
    }
    assert 200 == (await house.full("POST", "/v1/events", [event])).status
    return name


async def status(house: House, budget: str) -> Any:
    reply = await house.read("GET", f"/v1/budgets/{budget}/status")
    assert 200 == reply.status, reply.body
    return reply.json


async def look(house: House, budget: str) -> Any:
    """As the job does, by an edit that changes nothing."""
    assert 200 == (await house.full("PATCH", f"/v1/budgets/{budget}", {})).status
    return await status(house, budget)


def told(found: Any) -> list[tuple[str, str]]:
    return [(one["kind"], one["what"]) for one in found["told"]]


async def test_without_budgets_the_list_and_the_summary_are_empty(house: House) -> None:
    assert {"items": [], "next": None} == (await house.read("GET", "/v1/budgets")).json
    assert {"items": []} == (await house.read("GET", "/v1/budgets/summary")).json


async def test_a_budget_has_what_is_usual_and_is_read_and_listed_page_by_page(house: House) -> None:
    first, second = await make(house), await make(house, name="Maps", currency="EUR", period="yearly")

    assert (201, 201) == (first.status, second.status)
    usual: dict[str, Any] = {
        "name": "Models", "state": "active", "currency": "USD", "amount": "100", "period": "monthly",
        "starts_on": "2026-03-02", "ends_on": None, "every_days": None, "auto_renew": True, "scope": {},
        "thresholds": [50, 80, 90, 100], "allocations": [], "spike": None, "low_days": None, "hard_stop": False,
        "channels": [],
    }  # fmt: skip
    assert usual == {name: first.json[name] for name in usual}
    path = f"/v1/budgets/{first.json['id']}"
    assert f"http://beat.example.org{path}" == first.headers["location"]
    assert first.json == (await house.read("GET", path)).json
    page = (await house.read("GET", "/v1/budgets?limit=1")).json
    rest = (await house.read("GET", f"/v1/budgets?limit=1&cursor={page['next']}")).json
    assert [first.json, second.json] == [*page["items"], *rest["items"]]
    assert rest["next"] is None
    assert [] == (await house.read("GET", "/v1/budgets?status=paused")).json["items"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"name": ""}, "name"),
        ({"currency": "XXZ"}, "currency"),
        ({"amount": None}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": "1.0000001"}, "amount"),
        ({"period": "weekly"}, "period"),
        ({"period": "unlimited"}, "amount"),
        ({"period": "unlimited", "amount": None, "thresholds": [50]}, "thresholds"),
        ({"period": "unlimited", "amount": None, "hard_stop": True}, "hard_stop"),
        ({"period": "project"}, "ends_on"),
        ({"period": "custom"}, "every_days"),
        ({"starts_on": "2026-W01-1"}, "starts_on"),
        ({"starts_on": "2026-02-30"}, "starts_on"),
        ({"ends_on": "tomorrow", "period": "project"}, "ends_on"),
        ({"thresholds": [0]}, "thresholds"),
        ({"scope": {"planet": ["mars"]}}, "scope"),
        ({"scope": {"provider": [""]}}, "scope.provider[0]"),
        ({"scope": {"provider": [str(n) for n in range(51)]}}, "scope.provider"),
        ({"scope": {"tag": ["a", "b"]}}, "scope.tag"),
        ({"scope": {"key": ["a"], "user": ["b"]}}, "scope"),
        ({"scope": {"meter": ["*"], "provider": ["a"]}}, "scope"),
        ({"scope": {"meter": ["none"]}}, "scope.meter[0]"),
        ({"scope": {"meter": ["*"]}, "hard_stop": True}, "hard_stop"),
        ({"scope": {"meter": ["*"]}, "allocations": [{"by": "model", "name": "a", "amount": "1"}]}, "allocations"),
        ({"allocations": [{"by": "meter", "name": "a", "amount": "1"}]}, "allocations"),
        ({"scope": {"key": ["a"]}, "allocations": [{"by": "customer", "name": "c", "amount": "1"}]}, "allocations"),
        ({"allocations": [{"by": "planet", "name": "mars", "amount": "1"}]}, "allocations[0].by"),
        ({"allocations": [{"by": "provider", "name": "", "amount": "1"}]}, "allocations[0].name"),
        ({"allocations": [{"by": "provider", "name": "a", "amount": "x"}]}, "allocations[0].amount"),
        ({"allocations": [{"by": "provider", "name": "a", "amount": "1"}] * 2}, "allocations[1].name"),
        ({"allocations": [{"by": "provider", "name": "a", "amount": "100.000001"}]}, "allocations"),
        ({"spike": {"percent": 100, "least": "1"}}, "spike.percent"),
        ({"spike": {"percent": 200, "least": "0"}}, "spike.least"),
        ({"low_days": 0}, "low_days"),
        ({"hard_stop": True, "scope": {"provider": ["a", "b"]}}, "hard_stop"),
        ({"channels": ["x"]}, "channels[0]"),
        ({"channels": [MISSING]}, "channels[0]"),
    ],
)
@on_sqlite
async def test_what_is_no_budget_is_refused_by_its_field(house: House, asked: Any, field: str) -> None:
    reply = await make(house, **asked)

    assert (422, [field]) == (reply.status, reply.fields)
    assert [] == (await house.read("GET", "/v1/budgets")).json["items"]


async def test_what_was_spent_is_exact_and_what_is_left_is_worked_out(house: House) -> None:
    budget = await made(house, amount="0.9")
    for cost in ("0.1", "0.2", "0.000000000000000001"):
        await call(house, cost)
    await call(house, "5", at="2026-02-28T23:59:59Z")  # the month before

    found = await status(house, budget)

    assert ("0.300000000000000001", "0.599999999999999999", 33, 3) == tuple(
        found[name] for name in ("spent", "left", "percent", "n_calls")
    )
    assert {"first_day": "2026-03-01", "last_day": "2026-03-31"}.items() <= found["period"].items()


async def test_currencies_are_never_added_together_and_what_has_no_price_is_counted_apart(house: House) -> None:
    budget = await made(house)
    await call(house, "10")
    await call(house, "7", currency="EUR")
    await call(house, None, **{"units.input_tokens": "100"})

    found = await status(house, budget)

    assert ("10", {"EUR": "7"}, 1, 3) == (
        found["spent"], found["other_currencies"], found["n_unpriced"], found["n_calls"],
    )  # fmt: skip


async def test_each_threshold_is_told_once_in_a_period_and_again_in_the_next(house: House, clock: SimClock) -> None:
    budget = await made(house)
    await call(house, "85")

    first = await look(house, budget)
    again = await look(house, budget)
    clock.move_to(clock.now() + timedelta(days=31))
    await call(house, "60", at="2026-04-02T09:00:00Z")
    april = await look(house, budget)

    assert [("threshold", "50"), ("threshold", "80")] == told(first) == told(again)
    assert [True, True, False, False] == [one["reached"] for one in first["thresholds"]]
    assert [("threshold", "50")] == told(april)
    history = (await house.read("GET", f"/v1/budgets/{budget}/history")).json["items"]
    assert [("2026-04-01", "60"), ("2026-03-01", "85")] == [(one["first_day"], one["spent"]) for one in history]


async def test_after_a_raise_only_what_is_below_again_is_told_anew(house: House) -> None:
    budget = await made(house)
    path = f"/v1/budgets/{budget}"
    await call(house, "85")
    await look(house, budget)

    await house.full("PATCH", path, {"amount": "150"})
    raised = await status(house, budget)
    await call(house, "40")  # 125 of 150
    later = await look(house, budget)

    assert [("50", None), ("80", "2026-03-02T10:00:00Z")] == [
        (one["what"], one["rearmed_at"]) for one in raised["told"]
    ]
    assert ["50", "80", "80"] == sorted(one["what"] for one in later["told"])
    assert "active" == later["state"]


async def test_what_was_told_is_not_untold_by_a_correction_and_not_told_again(house: House) -> None:
    budget = await made(house)
    name = await call(house, "85")
    await look(house, budget)

    voided = await house.full("POST", "/v1/events/void", {"transaction_id": name, "reason": "a mistake"})
    after = await look(house, budget)
    await call(house, "85")
    again = await look(house, budget)

    assert 200 == voided.status
    assert ("0", [False, False]) == (after["spent"], [one["holds"] for one in after["told"]])
    assert told(after) == told(again)
    assert [True, True] == [one["holds"] for one in again["told"]]


async def test_a_budget_that_is_spent_is_exceeded_and_by_a_raise_active_again(house: House) -> None:
    budget = await made(house)
    await call(house, "100")

    spent = await look(house, budget)
    await house.full("PATCH", f"/v1/budgets/{budget}", {"amount": "200"})

    assert ("exceeded", "0", 100) == (spent["state"], spent["left"], spent["percent"])
    assert "active" == (await status(house, budget))["state"]


async def test_while_it_is_paused_nothing_is_told_and_what_was_reached_when_it_goes_on(house: House) -> None:
    budget = await made(house)
    path = f"/v1/budgets/{budget}"
    assert "paused" == (await house.full("POST", f"{path}/pause")).json["state"]
    assert 200 == (await house.full("POST", f"{path}/pause")).status
    await call(house, "55")

    assert [] == told(await look(house, budget))
    assert "active" == (await house.full("POST", f"{path}/resume")).json["state"]
    assert [("threshold", "50")] == told(await status(house, budget))
    assert 409 == (await house.full("POST", f"{path}/resume")).status
    assert "cancelled" == (await house.full("POST", f"{path}/cancel")).json["state"]
    for method, at in (("POST", f"{path}/resume"), ("POST", f"{path}/pause"), ("PATCH", path)):
        refused = await house.full(method, at, {"amount": "500"} if method == "PATCH" else None)
        assert (409, True) == (refused.status, "cancelled" in refused.json["detail"])


async def test_parts_have_what_they_may_use_and_are_told_of_when_it_is_spent(house: House) -> None:
    acme = (await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["acme"]})).json["id"]
    parts = [
        {"by": "provider", "name": "openai", "amount": "40"},
        {"by": "model", "name": "gpt-5", "amount": "20"},
        {"by": "customer", "name": "acme", "amount": "30"},
        {"by": "customer", "name": acme.upper(), "amount": "10"},
    ]
    budget = await made(house, allocations=parts, thresholds=[])
    await call(house, "25")
    await call(house, "3", provider="apify", model="actor", customer="zeta")

    found = await look(house, budget)

    assert [("25", "15", 62), ("25", "-5", 125), ("25", "5", 83), ("25", "-15", 250)] == [
        (one["spent"], one["left"], one["percent"]) for one in found["allocations"]
    ]
    assert [("allocation", "model:gpt-5"), ("allocation", f"customer:{acme.upper()}")] == told(found)
    assert "0" == found["unallocated"]


async def test_only_calls_in_its_scope_count(house: House) -> None:
    of_customer = await made(house, name="a", scope={"customer": ["acme"], "provider": ["openai", "apify"]})
    of_tag = await made(house, name="b", scope={"tag": ["batch"]})
    of_nobody = await made(house, name="c", scope={"customer": [MISSING]})
    await call(house, "1", tags="batch,night")
    await call(house, "2", customer="zeta")
    await call(house, "4", provider="maps")

    assert ["1", "1", "0"] == [(await status(house, one))["spent"] for one in (of_customer, of_tag, of_nobody)]


async def test_parts_never_come_to_more_than_the_whole_whoever_edits_at_one_time(house: House) -> None:
    budget = await made(house, allocations=[{"by": "provider", "name": "a", "amount": "50"}])
    path = f"/v1/budgets/{budget}"
    more = [{"by": "provider", "name": name, "amount": "50"} for name in ("a", "b")]

    heard = await asyncio.gather(
        *(house.full("PATCH", path, asked) for asked in [{"amount": "60"}, {"allocations": more}] * 4)
    )

    assert {200, 422} == {reply.status for reply in heard}
    now = (await house.read("GET", path)).json
    assert sum(int(one["amount"]) for one in now["allocations"]) <= int(now["amount"])
    assert 422 == (await house.full("PATCH", path, {"amount": "49"})).status


async def test_the_summary_adds_up_every_part_and_currencies_apart(house: House) -> None:
    parts = [{"by": "customer", "name": f"c-{n}", "amount": "0.5"} for n in range(150)]
    budget = await made(house, allocations=parts)
    await made(house, name="Huge", amount="1000000000000")
    await made(house, name="Huger", amount="999999999999.999999")
    await made(house, name="Maps", currency="EUR", amount="20")
    await made(house, name="All", period="unlimited", amount=None)
    paused = await made(house, name="Not now", amount="5")
    await house.full("POST", f"/v1/budgets/{paused}/pause")
    await call(house, "30")
    await look(house, budget)

    euros, dollars = (await house.read("GET", "/v1/budgets/summary")).json["items"]

    assert ("EUR", 1, "20", "20") == tuple(euros[name] for name in ("currency", "n_budgets", "amount", "left"))
    assert (4, 1, 150, "75", "2000000000099.999999") == tuple(
        dollars[name] for name in ("n_budgets", "n_unlimited", "n_allocations", "allocated", "amount")
    )
    assert ("30", "2000000000069.999999") == (dollars["spent"], dollars["left"])


async def test_an_edit_says_what_it_has_seen_and_a_name_is_one_budgets(house: House) -> None:
    budget = await made(house)
    await made(house, name="Other")
    path = f"/v1/budgets/{budget}"
    seen = (await house.read("GET", path)).headers["etag"]

    first = await house.full("PATCH", path, {"amount": "120"}, headers=[("If-Match", seen)])
    second = await house.full("PATCH", path, {"amount": "130"}, headers=[("If-Match", seen)])

    assert (200, 412) == (first.status, second.status)
    assert 409 == (await make(house)).status
    assert 409 == (await house.full("PATCH", path, {"name": "Other"})).status
    assert 422 == (await house.full("PATCH", path, {"currency": "EUR"})).status
    assert "120" == (await house.read("GET", path)).json["amount"]


async def test_each_change_is_in_the_audit(house: House) -> None:
    budget = await made(house)
    path = f"/v1/budgets/{budget}"
    await house.full("PATCH", path, {"amount": "120"})
    await house.full("PATCH", path, {"amount": "120"})
    for verb in ("pause", "resume", "cancel"):
        await house.full("POST", f"{path}/{verb}")
    assert 204 == (await house.full("DELETE", path)).status
    assert 404 == (await house.full("DELETE", path)).status

    entries = (await house.full("GET", "/v1/audit?action=budget")).json["items"]

    assert ["delete", "cancel", "resume", "pause", "edit", "create"] == [
        one["action"].removeprefix("budget.") for one in entries
    ]
    assert {f"budget:{budget}"} == {one["object"] for one in entries}
    assert ({"amount": "100"}, {"amount": "120"}) == (entries[4]["before"], entries[4]["after"])


async def test_a_spike_and_what_runs_low_are_told(house: House, clock: SimClock) -> None:
    budget = await made(house, amount="1000", thresholds=[], spike={"percent": 200, "least": "5"}, low_days=12)
    clock.move_to(datetime.fromisoformat("2026-03-08T12:00:00+00:00"))
    for day in range(3, 8):
        await call(house, "40", at=f"2026-03-0{day}T09:00:00Z")

    quiet = await look(house, budget)
    await call(house, "81", at="2026-03-08T11:00:00Z")
    spike = await look(house, budget)
    await call(house, "300", at="2026-03-08T11:30:00Z")
    low = await look(house, budget)

    assert [] == told(quiet)
    assert ("40", "2026-03-28") == (quiet["burn_per_day"], quiet["gone_on"])
    assert [("spike", "2026-03-08")] == told(spike)
    assert {("spike", "2026-03-08"), ("low", "")} == set(told(low))
    assert "2026-03-18" == low["gone_on"]  # 419 left at 40 a day, from noon on
    assert [["2026-03-01", "0"], ["2026-03-08", "381"]] == [
        [one["day"], one["spent"]] for one in (low["days"][0], low["days"][-1])
    ]


async def test_what_comes_late_is_told_of_its_own_period_once(house: House, clock: SimClock) -> None:
    budget = await made(house)
    await call(house, "45")
    await look(house, budget)
    clock.move_to(datetime.fromisoformat("2026-04-03T12:00:00+00:00"))
    await look(house, budget)

    await call(house, "50", at="2026-03-30T09:00:00Z")
    await look(house, budget)
    await look(house, budget)

    april, march = (await house.read("GET", f"/v1/budgets/{budget}/history")).json["items"]
    assert ("95", ["50", "80", "90"]) == (march["spent"], sorted(one["what"] for one in march["told"]))
    assert ("0", []) == (april["spent"], april["told"])


async def test_a_project_ends_and_an_edit_lets_it_go_on(house: House, clock: SimClock) -> None:
    budget = await made(house, period="project", starts_on="2026-03-02", ends_on="2026-03-04")
    path = f"/v1/budgets/{budget}"
    await call(house, "55")
    clock.move_to(clock.now() + timedelta(days=5))

    over = await look(house, budget)
    refused = await house.full("POST", f"{path}/pause")
    longer = await house.full("PATCH", path, {"ends_on": "2026-03-31"})

    assert ("expired", "55", [("threshold", "50")]) == (over["state"], over["spent"], told(over))
    assert 409 == refused.status
    assert "active" == longer.json["state"]
    assert [("threshold", "50")] == told(await status(house, budget))


async def test_a_budget_that_has_not_begun_has_no_figures(house: House) -> None:
    budget = await made(house, period="project", starts_on="2026-04-02", ends_on="2026-04-04")

    found = await status(house, budget)

    assert (None, None, None, []) == (found["period"], found["spent"], found["percent"], found["told"])
    assert {"items": [], "next": None} == (await house.read("GET", f"/v1/budgets/{budget}/history")).json


async def test_a_hard_stop_refuses_calls_before_they_are_made(house: House) -> None:
    budget = await made(house, hard_stop=True, scope={"provider": ["openai"]})
    path = f"/v1/budgets/{budget}"
    wanted = {"scope": {"provider": "openai"}, "units": {"cost:USD": "10"}}
    await call(house, "85")

    async def may() -> bool:
        reply = await house.full("POST", "/v1/limits/check", wanted)
        assert 200 == reply.status, reply.body
        return bool(reply.json["allowed"])

    await look(house, budget)
    before = await may()
    await call(house, "6")
    stops = (await look(house, budget))["stops"]
    after = await may()
    await house.full("PATCH", path, {"amount": "200"})
    raised = await may()
    await house.full("PATCH", path, {"amount": "92"})
    cut = await may()
    await house.full("POST", f"{path}/pause")
    paused = await may()

    assert (True, False, True, False, True) == (before, after, raised, cut, paused)
    assert stops
    await house.full("POST", f"{path}/resume")
    assert not await may()
    await house.full("DELETE", path)
    assert await may()


async def test_what_it_will_come_to_is_foreseen_with_a_range(house: House, clock: SimClock) -> None:
    clock.move_to(datetime.fromisoformat("2026-03-21T00:00:00+00:00"))
    budget = await made(house, amount="1000")
    none = await status(house, budget)
    for day in range(1, 21):
        await call(house, "10" if day % 2 else "12", at=f"2026-03-{day:02}T12:00:00Z")

    found = await status(house, budget)

    assert none["foreseen"] is None
    low, likely, high = (float(found["foreseen"][name]) for name in ("low", "likely", "high"))
    assert "220" == found["spent"]
    assert 220 < low < likely < high
    assert abs(likely - 341) < 5  # eleven days of eleven


async def test_a_budget_of_meters_counts_what_their_use_costs(
    house: House, clock: SimClock, usage_db: Database, ids: IdSource
) -> None:
    for slug, price in (("bytes", "0.3"), ("calls", "2")):
        meter = {"slug": slug, "event_types": [slug], "aggregation": "sum", "value": "size"}
        assert 201 == (await house.full("POST", "/v1/meters", meter)).status
        asked = {"amount": price, "currency": "USD"}
        assert 201 == (await house.full("POST", f"/v1/meters/{slug}/prices", asked)).status
    acme = (await house.full("POST", "/v1/customers", {"name": "Acme", "aliases": ["acme"]})).json["id"]
    parts = [{"by": "meter", "name": "bytes", "amount": "30"}]
    every = await made(house, name="all", scope={"meter": ["*"]}, allocations=parts, low_days=5, thresholds=[50])
    one = await made(house, name="one", scope={"meter": ["calls"], "customer": ["acme"]})
    nobody = await made(house, name="nobody", scope={"meter": ["*"], "customer": [MISSING]})
    for n, (kind, size, whose) in enumerate((("bytes", "100.5", "acme"), ("calls", "4", acme), ("calls", "9", "zeta"))):
        event = {
            "transaction_id": f"use-{n}", "customer_id": whose, "timestamp": "2026-03-02T09:00:00Z",
            "event_type": kind, "properties": {"size": size},
        }  # fmt: skip
        assert 200 == (await house.full("POST", "/v1/events", [event])).status
    await call(house, "50")  # no use of a meter
    folder = Folder(usage_db, clock, ids, hands=Hands(beside=False))
    while await folder.round():
        pass

    found = await look(house, every)

    assert ("56.15", "43.85", 56) == (found["spent"], found["left"], found["percent"])
    assert [("30.15", "-0.15")] == [(part["spent"], part["left"]) for part in found["allocations"]]
    assert [("threshold", "50"), ("allocation", "meter:bytes")] == told(found)
    assert "56.15" == found["days"][-1]["spent"]
    assert ["8", "0"] == [(await status(house, budget))["spent"] for budget in (one, nobody)]


async def of_bytes(
    house: House, days: int, *, usage_db: Database, clock: SimClock, ids: IdSource, regions: int = 1
) -> None:
    """A meter of ten bytes a day, and twelve on each second one, for a dollar each, in so many regions alike."""
    meter = {"slug": "bytes", "event_types": ["bytes"], "aggregation": "sum", "value": "size", "group_keys": ["region"]}
    assert 201 == (await house.full("POST", "/v1/meters", meter)).status
    for price in ({"amount": "1"}, {"amount": "1", "only": {"region": "r-0"}}):
        asked = price | {"currency": "USD"}
        assert 201 == (reply := await house.full("POST", "/v1/meters/bytes/prices", asked)).status, reply.body
    events = [
        {
            "transaction_id": f"use-{day}-{region}", "customer_id": "acme", "timestamp": f"2026-03-{day:02}T12:00:00Z",
            "event_type": "bytes",
            "properties": {"size": f"{(10 if day % 2 else 12) / regions:g}", "region": f"r-{region}"},
        }
        for day in range(1, days + 1)
        for region in range(regions)
    ]  # fmt: skip
    assert 200 == (await house.full("POST", "/v1/events", events)).status
    folder = Folder(usage_db, clock, ids, hands=Hands(beside=False))
    while await folder.round():
        pass


async def test_of_a_budget_of_meters_is_foreseen_what_it_will_come_to_and_told_that_it_runs_out(
    house: House, clock: SimClock, usage_db: Database, ids: IdSource
) -> None:
    clock.move_to(datetime.fromisoformat("2026-03-21T00:00:00+00:00"))
    scope = {"meter": ["*"]}
    enough = await made(house, name="enough", amount="1000", scope=scope, low_days=5)
    little = await made(house, name="little", amount="250", scope=scope, low_days=5, thresholds=[])
    none = await status(house, enough)
    await of_bytes(house, 20, usage_db=usage_db, clock=clock, ids=ids)

    found, short = await look(house, enough), await look(house, little)

    assert none["foreseen"] is None
    low, likely, high = (float(found["foreseen"][name]) for name in ("low", "likely", "high"))
    assert 220 < low < likely < high
    assert abs(likely - 341) < 5  # eleven days of eleven
    assert ("220", None, []) == (found["spent"], found["gone_on"], told(found))
    # 30 are left, of which a day takes eleven.
    assert ("30", "2026-03-23", [("low", "")]) == (short["left"], short["gone_on"], told(short))
    assert found["foreseen"] == short["foreseen"]
    assert 11 < float(short["burn_per_day"]) < 11.3


async def test_what_is_too_much_for_one_question_is_asked_by_the_day(
    house: House, clock: SimClock, usage_db: Database, ids: IdSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.move_to(datetime.fromisoformat("2026-03-21T00:00:00+00:00"))
    await of_bytes(house, 20, usage_db=usage_db, clock=clock, ids=ids, regions=2)
    budget = await made(house, amount="1000", scope={"meter": ["bytes"]})
    whole = await status(house, budget)
    monkeypatch.setattr("heartfly.usage.meter_costs._AT_ONCE", 2)
    monkeypatch.setattr("heartfly.usage.meter_costs.MOST_FIGURES", 2)

    assert whole["foreseen"] is not None
    assert whole == await status(house, budget)
