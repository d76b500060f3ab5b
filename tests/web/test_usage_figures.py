"""What a meter's and a customer's page tell of figures: a scale, a total, how near a percentile is, how sure all is."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from heartfly.core.events import read as parsed
from heartfly.web.state import WebState
from heartfly.web.traffic_words import grouped
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.web.test_usage_pages import customer, text

pytestmark = pytest.mark.anyio

ROOT = "/p/main/usage"
TWO_DAYS_AGO, YESTERDAY = START - timedelta(days=2), START - timedelta(days=1)


@pytest.fixture
async def owner(town: Town, web: WebState) -> Browser:
    """Six events: 7, 12 and 17 ms two days ago, 1,000, 2,000 and 3,000 ms yesterday; c-1 sent the middle ones."""
    found = [
        {
            "transaction_id": f"t-{n}", "customer_id": f"c-{n % 3}", "event_type": "call",
            "timestamp": (YESTERDAY if n > 2 else TWO_DAYS_AGO).isoformat(),
            "properties": {"ms": (n - 2) * 1_000 if n > 2 else 7 + n * 5},
        }
        for n in range(6)
    ]  # fmt: skip
    await web.api.events.take(town.world.project.pid, parsed(json.dumps(found)), wire="native")
    return await town.owner()


async def closed(owner: Browser) -> None:
    """Both days, by the meters there are."""
    for at in (TWO_DAYS_AGO, YESTERDAY):
        assert 303 == (await owner.post(f"{ROOT}/jobs/{at.date()}", {"do": "close"})).status


async def made(owner: Browser, slug: str, aggregation: str, **more: str) -> None:
    fields = {"slug": slug, "event_types": "call", "aggregation": aggregation, "value": "ms"} | more
    assert 303 == (await owner.post(f"{ROOT}/meters/new", fields)).status


async def test_the_picture_has_a_scale_and_the_page_a_total(owner: Browser) -> None:
    await made(owner, "spent", "sum", unit="ms")
    await closed(owner)
    page = (await owner.get(f"{ROOT}/meters/spent")).body.decode()
    shown = await text(owner, "/meters/spent")

    assert "Total, ms 6,036 Open Events 6 Complete up to" in shown.replace(" , ", ", ")
    assert "<span>10,000</span><span>5,000</span><span>0</span>" in page
    assert ">28 Feb</text>" in page
    assert 'height="60.0"' in page


async def test_what_does_not_add_up_is_asked_for_as_a_whole(owner: Browser) -> None:
    await made(owner, "longest", "max")
    await made(owner, "callers", "unique", value="ms")
    await closed(owner)
    both = "from=2026-02-28&to=2026-03-01"

    assert "All together 3,000 Final Events 6" in await text(owner, f"/meters/longest?{both}")
    assert "All together 6 Final Events 6" in await text(owner, f"/meters/callers?{both}")


async def test_a_meter_that_added_up_in_two_ways_has_no_total(owner: Browser) -> None:
    await made(owner, "mixed", "sum")
    path = f"{ROOT}/meters/mixed/version"
    later = {"from_at": YESTERDAY.isoformat(), "rev": await owner.hidden(path, "rev")}
    await owner.post(path, {"event_types": "call", "aggregation": "max", "value": "ms"} | later)
    await closed(owner)
    shown = await text(owner, "/meters/mixed")

    assert "adds up in more than one way, so there is no total" in shown
    assert "36 3 Final" in shown
    assert "3,000 3 Final" in shown


async def test_a_percentile_is_told_as_near_as_it_is_known(owner: Browser) -> None:
    fields = {"slug": "p50", "event_types": "call", "aggregation": "percentile", "value": "ms", "percentile": "50"}
    previewed = (await owner.post(f"{ROOT}/meters/new", fields | {"preview": "1"})).body.decode()
    await owner.post(f"{ROOT}/meters/new", fields)
    await closed(owner)
    shown = await text(owner, "/meters/p50")

    assert "11.9 ± 0.2" in shown
    assert "1,980 ± 30" in shown
    assert "2,000 ± 30" in previewed
    assert "± how far the true one may be" in shown


async def test_a_customer_is_told_with_his_usage_of_each_meter(owner: Browser) -> None:
    path = await customer(owner, name="Acme", alias="c-1")
    before = await text(owner, path.removeprefix(ROOT))
    await made(owner, "spent", "sum", unit="ms")
    await made(owner, "longest", "max")
    await closed(owner)
    shown, page = await text(owner, path.removeprefix(ROOT)), (await owner.get(path)).body.decode()
    public_id = path.rpartition("/")[2]

    assert "There are no meters yet" in before
    assert "2026-02-01 to 2026-03-02, days of UTC; complete up to" in shown
    assert "spent 2,012 ms 2 Open" in shown
    assert "longest 2,000 – 2 Open" in shown
    asked = f"customer={public_id}&amp;from=2026-02-01&amp;to=2026-03-02&amp;zone=UTC"
    assert f'href="{ROOT}/meters/spent?{asked}"' in page
    assert "Total, ms 2,012" in (await text(owner, f"/meters/spent?{asked.replace('amp;', '')}")).replace(" , ", ", ")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("0", "0"), ("999.125", "999.125"), ("26482052", "26,482,052"), ("-1234.50001", "-1,234.50001"),
        ("0.069312", "0.069312"), ("1010 ± 20", "1,010 ± 20"), ("12345.6 ± 1000.5", "12,345.6 ± 1,000.5"), ("–", "–"),
    ],
)  # fmt: skip
def test_thousands_stand_apart_and_what_follows_the_point_does_not(told: str, said: str) -> None:
    assert said == grouped(told)
