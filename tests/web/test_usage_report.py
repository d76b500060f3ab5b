"""A customer's report in the browser: the same figures in every form, links for others, and who is mailed one."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from heartfly.accounts.turnstile import Turnstile
from heartfly.audit.record import CLI
from heartfly.backup.marks import mark
from heartfly.core.events import read as parsed
from heartfly.db.models import audit, projects, report_mails, report_shares
from heartfly.sealing import Sealer
from heartfly.traffic import gather
from heartfly.traffic.report import PARTIAL
from heartfly.traffic.report_shares import MOST_SHARES, remove_ended
from heartfly.traffic.report_stops import Stop, address
from heartfly.usage.customers import create_customer
from heartfly.usage.erasure import erase_customer
from heartfly.web.state import WebState
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import HOST, Browser
from tests.web.conftest import START, Town
from tests.web.hostile import HOSTILE

pytestmark = pytest.mark.anyio

DAYS = "from=2026-02-01&to=2026-03-01"
FORMULA = frozenset("=+-@\uff1d")
"""What begins so, a sheet reckons with."""
CALLS = {"slug": "calls", "name": "API calls", "unit": "calls", "event_types": "http.request", "aggregation": "count"}
BYTES = CALLS | {"slug": "bytes", "name": "Traffic", "unit": "B", "aggregation": "sum", "value": "response_bytes"}


async def customer(web: WebState, pid: int, name: str, *aliases: str) -> str:
    def work(tx: Any) -> str:
        return create_customer(tx, pid, name=name, wanted=aliases, actor=CLI, at=START, ids=web.api.ids)[0]

    return await web.api.usage.write(work)


def request(number: int, *, days: int, subject: str = "acme", status: int = 200, route: str = "/a") -> dict[str, Any]:
    """Some days before the beginning; every third took longer."""
    told = {"method": "GET", "route": route, "status": status, "latency_ms": 300 if number % 3 == 0 else 40}
    return {
        "transaction_id": f"r-{number}", "customer_id": subject, "event_type": "http.request",
        "timestamp": (START - timedelta(days=days)).isoformat(),
        "properties": told | {"request_bytes": 100, "response_bytes": 2_000 + number},
    }  # fmt: skip


@pytest.fixture
async def path(town: Town, web: WebState) -> str:
    """Of the report of Acme, who asked 40 times in the last days; another customer asked as well."""
    pid = town.world.project.pid
    uuid = await customer(web, pid, "Acme & Sons", "acme")
    found = [request(n, days=1 + n % 5, status=500 if n == 7 else 404 if n == 8 else 200) for n in range(40)]
    found += [request(100 + n, days=2, subject="other", route="/secret-of-others") for n in range(5)]
    await web.api.events.take(pid, parsed(json.dumps(found)), wire="native")
    owner = await town.owner()
    for meter in (CALLS, BYTES):
        assert 303 == (await owner.post("/p/main/usage/meters/new", meter)).status
    return f"/p/main/usage/customers/{uuid}/report"


async def close(town: Town, *days: int) -> None:
    owner = await town.owner()
    for one in days:
        day = (START - timedelta(days=one)).date()
        assert 303 == (await owner.post(f"/p/main/usage/jobs/{day}", {"do": "close"})).status


def said(body: bytes) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.decode())))


async def text(browser: Browser, path: str, status: int = 200) -> str:
    reply = await browser.get(path)
    assert status == reply.status, reply.body.decode()[-800:]
    return said(reply.body)


def lines(body: bytes, kind: str) -> list[dict[str, str]]:
    return [row for row in csv.DictReader(io.StringIO(body.decode())) if row["kind"] == kind]


# --- the same figures in every form


async def test_the_page_the_files_and_the_meters_say_the_same(town: Town, path: str) -> None:
    owner = await town.owner()
    await close(town, 5, 4, 3, 2, 1)
    page = await text(owner, f"{path}?{DAYS}")
    in_csv = (await owner.get(f"{path}.csv?{DAYS}")).body
    in_json = json.loads((await owner.get(f"{path}.json?{DAYS}")).body)
    in_lines = [json.loads(line) for line in (await owner.get(f"{path}.ndjson?{DAYS}")).body.splitlines()]
    uuid = path.split("/")[-2]
    meter = await text(owner, f"/p/main/usage/meters/bytes?{DAYS}&customer={uuid}")

    assert "40 requests, 95.00 % succeeded" in page
    assert 40 == sum(int(row["requests"]) for row in lines(in_csv, "day"))
    assert 40 == sum(int(row["requests"]) for row in lines(in_csv, "endpoint"))
    assert 40 == sum(int(row["requests"]) for row in lines(in_csv, "status"))
    assert ["40"] == [row["requests"] for row in lines(in_csv, "report")]
    assert 40 == in_json["total"]["requests"] == sum(day["requests"]["requests"] for day in in_json["days"])
    assert 40 == sum(row["requests"] for row in in_lines if row["kind"] == "day")
    total = sum(2_000 + n for n in range(40))
    assert f"{total:,}" in meter
    assert f"{total:,}" in page
    assert total == sum(int(row["value"]) for row in lines(in_csv, "meter_day") if row["name"] == "bytes")
    assert {"calls": "40", "bytes": str(total)} == {row["name"]: row["value"] for row in lines(in_csv, "meter")}
    assert {"calls": "40", "bytes": str(total)} == {one["meter"]: one["value_exact"] for one in in_json["meters"]}
    assert "secret-of-others" not in page + in_csv.decode() + json.dumps(in_json)


async def test_where_requests_cannot_all_be_counted_it_is_not_final_and_says_so(
    town: Town, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the zone has changed: days begin within an hour then, of which nothing smaller is kept."""
    owner = await town.owner()
    await close(town, 5, 4, 3, 2, 1)
    zone = sa.update(projects).values(zone="Asia/Kolkata")
    await town.world.db.write(lambda tx: tx.conn.execute(zone).rowcount)
    monkeypatch.setattr(gather, "MOST_SINGLE", 0)
    asked = "from=2026-02-26&to=2026-02-28"

    told = json.loads((await owner.get(f"{path}.json?{asked}")).body)
    page = await text(owner, f"{path}?{asked}")

    assert (True, False, 3) == (told["partial"], told["is_final"], told["days_final"])
    assert "Not whole. Requests are missing from these figures." in page
    assert PARTIAL in page
    assert "Provisional. " not in page


async def test_it_is_provisional_until_each_day_is_proved(town: Town, path: str) -> None:
    owner, asked = await town.owner(), "from=2026-02-25&to=2026-03-01"
    before = await text(owner, f"{path}?{asked}")
    await close(town, 5, 4, 3, 2)
    nearly = await text(owner, f"{path}?{asked}")
    await close(town, 1)
    after = await text(owner, f"{path}?{asked}")
    of_whom = [json.loads((await owner.get(f"{path}.json?{asked}")).body) for _ in range(2)]

    assert "Provisional. 5 of 5 days are not final" in before
    assert "Provisional. 1 of 5 days is not final" in nearly
    assert "Not final: 2026-03-01 (provisional)" in nearly
    assert "5 of 5 days are final." in after
    assert "Provisional." not in after
    assert (True, 5) == (of_whom[0]["is_final"], of_whom[0]["days_final"])
    assert of_whom[0]["fingerprint"] == of_whom[1]["fingerprint"]
    assert of_whom[0]["fingerprint"] in after
    assert of_whom[0]["fingerprint"] not in nearly


async def test_one_more_request_is_another_fingerprint(town: Town, web: WebState, path: str) -> None:
    owner = await town.owner()
    before = json.loads((await owner.get(f"{path}.json?{DAYS}")).body)
    late = parsed(json.dumps([request(900, days=3, subject="acme")]))
    await web.api.events.take(town.world.project.pid, late, wire="native")
    after = json.loads((await owner.get(f"{path}.json?{DAYS}")).body)

    assert (40, 41) == (before["total"]["requests"], after["total"]["requests"])
    assert before["fingerprint"] != after["fingerprint"]


async def test_a_customer_who_asked_for_nothing_has_a_report_that_says_so(town: Town, web: WebState) -> None:
    owner, uuid = await town.owner(), await customer(web, town.world.project.pid, "Silent")
    path = f"/p/main/usage/customers/{uuid}/report"

    assert "No request of this customer was recorded" in await text(owner, path)
    assert "No meter counted anything" in await text(owner, path)
    assert "No request of this customer was recorded" in await text(owner, f"{path}?month=1999-12")
    assert ["0"] * 31 == [row["requests"] for row in lines((await owner.get(f"{path}.csv?month=1999-12")).body, "day")]


async def test_a_month_is_asked_for_by_its_name_and_what_is_none_is_told(town: Town, path: str) -> None:
    owner = await town.owner()

    assert "February 2026" in await text(owner, f"{path}?month=2026-02")
    for asked, told in (
        ("month=2026-13", "must be a month such as"),
        ("month=2026-02&from=2026-02-01", "says it all"),
        ("from=2026-02-02&to=2026-02-01", "must not be before"),
        ("from=2020-01-01&to=2026-02-01", "more than 100 days"),
        ("from=%00", "must be a day such as"),
        ("to=9999-12-31", "must be a day such as"),
    ):
        assert told in await text(owner, f"{path}?{asked}", 422)
        assert 422 == (await owner.get(f"{path}.csv?{asked}")).status
    unknown = path.replace(path.split("/")[-2], "00000000-0000-4000-8000-000000000000")
    assert [404, 404] == [(await owner.get(one)).status for one in (unknown, f"{unknown}.csv")]
    assert 404 == (await owner.get(path.replace("/main/", "/next-door/"))).status


@on_sqlite
async def test_no_form_is_taken_in_by_hostile_names(town: Town, web: WebState) -> None:
    pid, owner = town.world.project.pid, await town.owner()
    names = [*HOSTILE, "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\uff1dcmd"]
    uuids = [await customer(web, pid, hostile[:200], f"s-{place}") for place, hostile in enumerate(names)]
    found = [request(2_000 + place, days=2, subject=f"s-{place}", route=hostile) for place, hostile in enumerate(names)]
    await web.api.events.take(pid, parsed(json.dumps(found)), wire="native")
    for uuid, hostile in zip(uuids, names, strict=True):
        path = f"/p/main/usage/customers/{uuid}/report"
        reply = await owner.get(path)
        found_in = reply.body.decode()
        bare = re.sub(r'<script type="module" src="/static/keys\.[0-9a-f]+\.js"></script>', "", found_in)

        assert 200 == reply.status
        assert not re.search(
            r"<script|<img|<iframe|<svg[^>]*onload|javascript:[^<]*[\"']>|<style|<base", bare, re.IGNORECASE
        ), hostile
        assert not re.search(r"\son[a-z]+=|\sstyle=", re.sub(r">[^<]*<", "><", bare)), hostile
        if hostile.strip()[:1] not in FORMULA:  # the only ones that a sheet could take for more than a text
            continue
        cells = [
            cell for row in csv.reader(io.StringIO((await owner.get(f"{path}.csv")).body.decode())) for cell in row
        ]
        assert any(hostile[:200].strip() in cell for cell in cells), hostile
        assert all(cell[:1] not in FORMULA for cell in cells), hostile


# --- links


async def shared(browser: Browser, path: str, **sent: str) -> str:
    """The link's path, as the page that answers shows it."""
    reply = await browser.post(f"{path}/shares", {"from": "2026-02-01", "to": "2026-03-01", "lasts": "604800", **sent})
    assert 201 == reply.status, reply.body.decode()
    (link,) = re.findall(rf"<code>http://{re.escape(HOST)}(/shared/report/[\w-]{{43}})</code>", reply.body.decode())
    return str(link)


async def test_whoever_has_the_link_reads_the_report_and_nothing_else(town: Town, path: str) -> None:
    link = await shared(await town.member(), path)

    seen = await town.nobody.get(link)
    files = {form: await town.nobody.get(f"{link}/{form}") for form in ("csv", "json", "ndjson", "parquet")}
    none = await town.nobody.get(f"{link}/exe")

    page = unescape(seen.body.decode())
    assert 200 == seen.status
    assert "40 requests, 95.00 % succeeded" in said(seen.body)
    assert "Acme & Sons" in page
    for secret in ("secret", "example.com", "/p/main", "<script", "<form"):
        assert secret not in page
    for reply in (seen, *files.values()):
        assert ("noindex, nofollow", "no-referrer", "no-store") == tuple(
            reply.headers[name] for name in ("x-robots-tag", "referrer-policy", "cache-control")
        )
    assert {200} == {reply.status for reply in files.values()}
    assert 404 == none.status
    assert 40 == sum(int(row["requests"]) for row in lines(files["csv"].body, "day"))
    assert files["csv"].headers["content-disposition"].startswith('attachment; filename="usage-')
    packed = await town.nobody.get(link, headers=[("Accept-Encoding", "gzip")])
    assert "40 requests" in gzip.decompress(packed.body).decode()
    assert len(packed.body) <= 10_000


@on_sqlite
async def test_who_has_a_link_alone_does_not_fill_the_process_beside(town: Town, web: WebState, path: str) -> None:
    link = await shared(await town.member(), path)
    busy = Turnstile(at_once=1, waiting=0, again_s=10, busy="another report is laid out")
    object.__setattr__(web.api, "laying_out", busy)
    async with busy:
        refused = await town.nobody.get(f"{link}/pdf")
        other = await town.nobody.get(f"{link}/csv")

    assert (503, "10", 200) == (refused.status, refused.headers["retry-after"], other.status)


async def test_a_link_ends_by_itself_and_is_taken_back(town: Town, clock: SimClock, path: str) -> None:
    member = await town.member()
    first, second = await shared(member, path), await shared(member, path, lasts="2592000")
    clock.move_to(START + timedelta(days=7))

    assert [404, 200] == [(await town.nobody.get(link)).status for link in (first, second)]
    member = await town.member()  # the session has ended as well
    (revoke,) = re.findall(rf'action="({path}/shares/\d+/revoke)"', (await member.get(path)).body.decode())
    assert 303 == (await member.post(revoke)).status
    assert 404 == (await member.post(revoke)).status
    assert [404, 404] == [(await town.nobody.get(one)).status for one in (second, f"{second}/csv")]
    assert 1 == await town.world.db.write(lambda tx: remove_ended(tx, at=clock.now(), most=5))


async def test_the_secret_is_nowhere_but_in_the_answer(town: Town, path: str) -> None:
    owner = await town.owner()
    token = (await shared(owner, path)).rpartition("/")[2]

    assert token not in (await owner.get(path)).body.decode()
    async with town.world.db.read() as read:
        (row,) = (await read.execute(sa.select(report_shares))).all()
        query = sa.select(audit.c.actor, audit.c.after).where(audit.c.action == "report.share")
        ((actor, after),) = (await read.execute(query)).all()
    assert token not in str(tuple(row))
    assert ("user:owner@example.com", str(row.id), "2026-02-01") == (actor, after["share"], after["first_day"])
    assert token not in str(after)
    exported = (await owner.get("/p/main/settings/export")).body.decode()
    assert "report_shares" in exported
    assert row.token_hash not in exported


async def test_viewers_see_links_and_mailings_and_change_nothing(town: Town, path: str) -> None:
    await shared(await town.owner(), path)
    viewer = await town.viewer()

    page = (await viewer.get(path)).body.decode()

    assert "2026-02-01 to 2026-03-01" in page
    assert "/shares" not in page
    async with town.world.db.read() as read:
        (row,) = (await read.execute(sa.select(report_shares))).all()
    sent = {"lasts": "604800", "rhythm": "month", "addresses": "a@example.org"}
    refused = [
        await viewer.post(f"{path}{what}", sent)
        for what in ("/shares", f"/shares/{row.id}/revoke", "/mails", "/mails/1/end")
    ]
    assert [403] * 4 == [reply.status for reply in refused]


async def test_the_page_of_a_customer_tells_who_gets_his_report(town: Town, path: str) -> None:
    owner, viewer, of_customer = await town.owner(), await town.viewer(), path.removesuffix("/report")
    assert "Nobody outside of the project" in (await owner.get(of_customer)).body.decode()
    await shared(owner, path)
    await owner.post(f"{path}/mails", {"rhythm": "month", "addresses": "a@example.org"})

    page, seen = (await owner.get(of_customer)).body.decode(), (await viewer.get(of_customer)).body.decode()
    for text in ("2026-02-01 to 2026-03-01", "a@example.org", "each month"):
        assert text in page
        assert text in seen
    assert f'href="{path}#links"' in page
    assert ("Take back" in page, "Take back" in seen) == (True, False)
    (revoke,) = re.findall(rf'action="({path}/shares/\w+/revoke)"', page)
    assert 303 == (await owner.post(revoke)).status
    assert "2026-02-01 to 2026-03-01" not in (await owner.get(of_customer)).body.decode()


@on_sqlite
async def test_there_are_only_so_many_links_and_they_last_only_so_long(town: Town, path: str) -> None:
    owner = await town.owner()

    wrong = await owner.post(f"{path}/shares", {"lasts": "7"})
    for _ in range(MOST_SHARES):
        await shared(owner, path)
    full = await owner.post(f"{path}/shares", {"lasts": "604800"})

    assert (422, True) == (wrong.status, "must be one of a week" in said(wrong.body))
    assert (409, True) == (full.status, f"has {MOST_SHARES} links" in said(full.body))


@on_sqlite
@pytest.mark.parametrize("token", ["x", "x" * 43, "%00" * 43, "%ED%A0%80" * 20, "é" * 43, "x" * 5000])
async def test_what_is_no_link_reads_as_none(town: Town, token: str) -> None:
    assert [404, 404] == [(await town.nobody.get(f"/shared/report/{token}{end}")).status for end in ("", "/csv")]


async def test_after_a_restore_no_link_works(town: Town, path: str) -> None:
    """Of those in a backup nobody knows which were taken back since."""
    link = await shared(await town.owner(), path)

    await town.world.db.write(lambda tx: mark(tx, at=START))

    assert 404 == (await town.nobody.get(link)).status


async def test_who_is_erased_has_no_link_and_no_mailing_any_more(town: Town, web: WebState, path: str) -> None:
    owner = await town.owner()
    link = await shared(owner, path)
    assert 303 == (await owner.post(f"{path}/mails", {"rhythm": "month", "addresses": "a@example.org"})).status
    uuid, api = path.split("/")[-2], web.api
    await erase_customer(
        api.usage,
        api.database,
        town.world.project.pid,
        uuid,
        rev=None,
        actor=CLI,
        at=START,
        ids=api.ids,
        sealer=api.sealer,
    )
    assert 404 == (await town.nobody.get(link)).status
    async with town.world.db.read() as read:
        left = [(await read.execute(sa.select(table))).all() for table in (report_shares, report_mails)]
    assert [[], []] == left


# --- mailings


async def test_it_is_mailed_to_whom_somebody_says_until_it_is_ended(town: Town, path: str) -> None:
    member = await town.member()
    made = await member.post(
        f"{path}/mails", {"rhythm": "30-days", "addresses": "a@example.org\r\n\r\nb@example.org\na@example.org"}
    )
    wrong = await member.post(f"{path}/mails", {"rhythm": "month", "addresses": "a@example.org\nnobody"})
    never = await member.post(f"{path}/mails", {"rhythm": "never", "addresses": "a@example.org"})
    nobody = await member.post(f"{path}/mails", {"rhythm": "month", "addresses": " "})
    async with town.world.db.read() as read:
        (row,) = (await read.execute(sa.select(report_mails))).all()
    ended = await member.post(f"{path}/mails/{row.id}/end")
    again = await member.post(f"{path}/mails/{row.id}/end")

    assert (303, ["a@example.org", "b@example.org"]) == (made.status, row.addresses)
    assert (422, 422, 422) == (wrong.status, never.status, nobody.status)
    assert "must be one e-mail address" in said(wrong.body)
    assert (303, 404) == (ended.status, again.status)
    assert "It is mailed to nobody." in await text(member, path)


async def test_the_link_in_a_mail_asks_first_and_ends_it_for_that_address(town: Town, web: WebState, path: str) -> None:
    member = await town.member()
    await member.post(f"{path}/mails", {"rhythm": "month", "addresses": "a@example.org\nb@example.org"})
    async with town.world.db.read() as read:
        (row,) = (await read.execute(sa.select(report_mails))).all()
    of_a, of_b = [address("", Stop(row.pid, row.id, one), web.api.sealer) for one in ("a@example.org", "b@example.org")]
    forged = address("", Stop(row.pid, row.id, "a@example.org"), Sealer([Fernet.generate_key()]))
    other = web.api.sealer.seal(b'["something else", 1, 2, "a@example.org"]').decode()

    asked = (await town.nobody.get(of_a)).body.decode()
    still = await text(member, path)
    ended = await town.nobody.post(of_a, {"List-Unsubscribe": "One-Click"}, origin=None, site=None)
    after = await text(member, path)
    again = [(await town.nobody.get(of_a)).status, (await town.nobody.post(of_a)).status]
    wrong = [(await town.nobody.get(one)).status for one in (forged, f"/shared/report-stop/{other}")]
    last = await town.nobody.post(of_b)

    assert "Stop it" in asked
    assert "a@example.org" in still
    assert 200 == ended.status
    assert ("a@example.org" in after, "b@example.org" in after) == (False, True)
    assert ([404, 404], [404, 404], 200) == (again, wrong, last.status)
    assert "It is mailed to nobody." in await text(member, path)


# --- how fast


@on_sqlite
async def test_a_pdf_is_made_in_a_process_beside(town: Town, path: str) -> None:
    pytest.importorskip("weasyprint")
    owner = await town.owner()

    reply = await owner.get(f"{path}.pdf?{DAYS}")

    assert (200, b"%PDF") == (reply.status, reply.body[:4])
    assert "application/pdf" == reply.headers["content-type"]
