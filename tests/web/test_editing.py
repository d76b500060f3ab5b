"""Checks and channels are edited by forms: what was not touched stays, and nobody overwrites what he has not seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from heartfly.audit.record import CLI
from heartfly.checks import commands
from heartfly.checks.config import CheckIn, as_asked, bounds_of, mark_of, of_row
from heartfly.core.bound_text import lines_of
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import audit, channels, check_channels, check_needs, checks
from heartfly.errors import ChangedMeanwhileError, StoreError
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock
from tests.web.browser import Browser
from tests.web.conftest import START, Town
from tests.world import SEALER

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


async def fields_of(browser: Browser, path: str, *, nth: int = 0) -> dict[str, Any]:
    """What a browser would send if its reader changed nothing: of the form that is sent to this page."""
    page = (await browser.get(path)).body.decode()
    action = re.escape(path.partition("?")[0])
    form = re.findall(rf'<form method="post" action="{action}".*?</form>', page, re.DOTALL)[nth]
    found: dict[str, Any] = {}
    form = re.sub(r"<fieldset disabled>.*?</fieldset>", "", form, flags=re.DOTALL)
    for tag in re.findall(r"<input [^>]*>", form):
        given = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if given.get("type") in {"radio", "checkbox"} and " checked" not in tag:
            continue
        found.setdefault(given["name"], []).append(unescape(given.get("value", "")))
    for name, text in re.findall(r'<textarea id="[^"]*" name="([^"]+)".*?>\n(.*?)</textarea>', form, re.DOTALL):
        found[name] = [unescape(text)]
    for name, options in re.findall(r'<select [^>]*?name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r"<option([^>]*) selected>([^<]*)", options) or re.search(r"<option([^>]*)>([^<]*)", options)
        assert chosen is not None
        value = re.search(r'value="([^"]*)"', chosen[1])
        found[name] = [value[1] if value else chosen[2]]
    found.pop("form_token", None)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


async def entries(db: Database, action: str) -> list[Any]:
    async with db.read() as read:
        return list((await read.execute(sa.select(audit).where(audit.c.action == action))).all())


async def one(db: Database, query: sa.Select[Any]) -> Any:
    async with db.read() as read:
        return (await read.execute(query)).one()


GATES = '[{"metric":"rows","op":">=","value":"10","level":"warn"}]'
FILTERS = '{"start":["begin"],"success":[],"failure":["error, fatal"],"default_fail":true}'


async def test_a_form_that_is_sent_as_it_was_shown_changes_nothing(town: Town, db: Database) -> None:
    check = await town.world.check(
        START, name="Nightly", slug="nightly", tags=("a b", "c, d"), description="one\ntwo", gates=GATES,
        filters=FILTERS, methods="POST", sticky=True, unverified_is_down=True, kind="oncalendar", period_s=0,
        expression="Mon 02:30\nTue 03:30", zone="Europe/Riga", grace=timedelta(seconds=90), max_run=timedelta(hours=2),
        tolerance='{"failures":3,"share":50,"last":10,"recover":2}', bounds='{"min_run":"PT60S","reports":5}',
    )  # fmt: skip
    owner = await town.owner()
    before = await town.world.row(check)
    fields = await fields_of(owner, f"/p/main/checks/{check.uuid}/edit")

    assert 303 == (await owner.post(f"/p/main/checks/{check.uuid}/edit", fields)).status
    assert before == await town.world.row(check)
    assert [] == await entries(db, "check.edit")


async def test_every_field_of_a_check_is_edited_and_the_audit_says_who(town: Town, db: Database) -> None:
    owner = await town.owner()
    made = await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    channel = made.headers["location"].rpartition("/")[2]
    check = await town.world.check(START, name="one", slug="one")
    dump, other = await town.world.check(START, name="dump"), await town.world.check(START, name="other")
    path = f"/p/main/checks/{check.uuid}/edit"
    fields = await fields_of(owner, path)
    assert channel == fields["channel"]
    del fields["channel"]
    sent = await owner.post(
        path,
        fields
        | {
            "name": "Two", "slug": "two", "tags": "prod, db", "description": "said\r\nagain", "kind": "cron",
            "expression": "30 2 * * *", "zone": "Europe/Berlin", "dialect": "systemd", "grace": "5",
            "grace_unit": "minutes", "max_run": "2", "max_run_unit": "hours", "methods": "POST",
            "gates": "rows >= 10\r\nerrors == 0 warn", "filter_start": "begin", "filter_success": "all done\r\nok",
            "filter_failure": "fatal", "default_fail": "1", "sticky": "1", "unverified_is_down": "1",
            "failures": "3", "share": "50 %",
            "last": "10", "recover": "2", "bounds": "run >= 1m warn\r\nearly 10%", "host": "db-1",
            "needs": f"dump, {other.uuid}",
        },
    )  # fmt: skip

    assert (303, f"/p/main/checks/{check.uuid}") == (sent.status, sent.headers["location"])
    row = await town.world.row(check)
    assert ("Two", "two", ["prod", "db"], "said\nagain", "cron", "30 2 * * *", "Europe/Berlin", "systemd") == (
        row.name, row.slug, list(row.tags), row.description, row.kind, row.expression, row.zone, row.dialect,
    )  # fmt: skip
    assert (300, 7200, "POST", True, True) == (
        row.grace_s, row.max_run_s, row.methods, row.sticky, row.unverified_is_down,
    )  # fmt: skip
    assert [("rows", ">=", "10", "fail"), ("errors", "==", "0", "warn")] == [
        tuple(gate[name] for name in ("metric", "op", "value", "level")) for gate in msgspec.json.decode(row.gates)
    ]
    assert (3, 50, 10, 2) == tuple(
        msgspec.json.decode(row.tolerance)[name] for name in ("failures", "share", "last", "recover")
    )
    assert ["run >= 1m warn", "early 10%"] == lines_of(bounds_of(row.bounds))
    assert {"start": ["begin"], "success": ["all done", "ok"], "failure": ["fatal"], "default_fail": True} == (
        msgspec.json.decode(row.filters)
    )
    async with db.read() as read:
        assert [] == (await read.execute(sa.select(check_channels).where(check_channels.c.check_id == check.id))).all()
        needs = await read.execute(sa.select(check_needs.c.needed_id).where(check_needs.c.check_id == check.id))
        assert {dump.id, other.id} == {*needs.scalars()}
    assert ("db-1", True) == (row.host, row.linked)
    (entry,) = await entries(db, "check.edit")
    assert ("user:owner@example.com", [channel], []) == (
        entry.actor, entry.before["channels"], entry.after["channels"],
    )  # fmt: skip


async def test_pings_that_come_meanwhile_do_not_refuse_an_edit(town: Town) -> None:
    check = await town.world.check(START, name="busy")
    owner = await town.owner()
    path = f"/p/main/checks/{check.uuid}/edit"
    fields = await fields_of(owner, path)
    for i in range(3):
        await town.world.ping(check, START + i * MINUTE)

    assert 303 == (await owner.post(path, fields | {"grace": "30"})).status
    assert 1800 == (await town.world.row(check)).grace_s


@pytest.mark.parametrize("other", ["name", "channels"])
async def test_who_has_not_seen_an_edit_is_shown_both_and_may_then_decide(town: Town, other: str) -> None:
    check = await town.world.check(START, name="one", description="as it was")
    owner = await town.owner()
    path = f"/p/main/checks/{check.uuid}/edit"
    late, early = await fields_of(owner, path), await fields_of(owner, path)
    if other == "name":
        assert 303 == (await owner.post(path, early | {"name": "their name"})).status
    else:
        await owner.post("/p/main/channels/new/email", {"name": "their name", "value": "ops@example.com"})
    refused = await owner.post(path, late | {"description": "my words"})
    page = refused.body.decode()

    assert 409 == refused.status
    assert "as it was" == (await town.world.row(check)).description
    for said in ("their name", "as it was", "my words", "Somebody else changed this check"):
        assert said in page
    mark = re.search(r'name="mark" value="([^"]+)"', page)
    assert mark is not None
    again = late | {"description": "my words", "mark": mark[1]}
    assert 303 == (await owner.post(path, again)).status
    row = await town.world.row(check)
    assert ("one", "my words") == (row.name, row.description)


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"slug": "taken"}, "slug"),
        ({"tags": "x" * 60}, "tags"),
        ({"description": "x" * 10_001}, "description"),
        ({"kind": "cron", "expression": "61 * * * *"}, "expression"),
        ({"kind": "cron", "expression": "0 0 31 2 *"}, "expression"),
        ({"kind": "moon"}, "kind"),
        ({"kind": "cron", "expression": "0 0 * * *", "zone": "Moon/Base"}, "zone"),
        ({"dialect": "perl"}, "dialect"),
        ({"every": "ten"}, "every"),
        ({"grace": "0"}, "grace"),
        ({"grace_unit": "years"}, "grace"),
        ({"max_run": "-1"}, "max_run"),
        ({"methods": "PUT"}, "methods"),
        ({"gates": "rows >= 10\nnonsense"}, "gates"),
        ({"gates": "rows >= ten"}, "gates"),
        ({"gates": "rows ~ 10"}, "gates"),
        ({"failures": "0"}, "failures"),
        ({"failures": "three"}, "failures"),
        ({"share": "50"}, "last"),
        ({"share": "101", "last": "5"}, "share"),
        ({"recover": "-2"}, "recover"),
        ({"bounds": "run >= 1m\nnonsense"}, "bounds"),
        ({"bounds": "start within 1d"}, "bounds"),
        ({"filter_failure": "x" * 201}, "filter_failure"),
        ({"channel": "nonsense"}, "channels"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field_and_the_rest_stays(
    town: Town, db: Database, changed: dict[str, str], field: str
) -> None:
    await town.world.check(START, name="other", slug="taken")
    check = await town.world.check(START, name="one", slug="one")
    owner = await town.owner()
    path = f"/p/main/checks/{check.uuid}/edit"
    told = await owner.post(path, await fields_of(owner, path) | {"description": "typed"} | changed)
    page = told.body.decode()

    assert told.status in {409, 422}
    assert f'id="{field}-wrong"' in page
    assert f'href="#{field}"' in page
    assert f'id="{field}"' in page
    if "description" not in changed:
        assert "\ntyped</textarea>" in page
    assert ("one", "") == ((await town.world.row(check)).slug, (await town.world.row(check)).description)
    assert [] == await entries(db, "check.edit")


async def test_which_line_is_wrong_is_said(town: Town) -> None:
    check = await town.world.check(START, name="one")
    owner = await town.owner()
    path = f"/p/main/checks/{check.uuid}/edit"
    told = await owner.post(path, await fields_of(owner, path) | {"gates": "rows >= 10\n\nnonsense"})
    assert "Line 2: must look like rows &gt; 0" in told.body.decode()


async def test_the_check_of_a_job_of_ours_keeps_its_schedule(town: Town, db: Database) -> None:
    check = await town.world.check(START, name="job")
    await db.write(lambda tx: tx.conn.execute(sa.update(checks).where(checks.c.id == check.id).values(job="retention")))
    owner = await town.owner()
    path = f"/p/main/checks/{check.uuid}/edit"
    fields = await fields_of(owner, path)
    assert "every" not in fields
    assert 303 == (await owner.post(path, fields | {"every": "9", "grace": "30"})).status
    row = await town.world.row(check)
    assert (3600, 1800) == (row.period_s, row.grace_s)


async def test_who_edits_at_the_same_moment_is_refused_by_the_command_itself(
    town: Town, db: Database, ids: IdSource
) -> None:
    """Between the page's own look and its command somebody else may have been quicker."""
    check = await town.world.check(START, name="one")
    seen = mark_of(as_asked(of_row((await town.world.row(check))._asdict())) | {"channels": [], "needs": []})

    def edited(name: str) -> Callable[[Tx], None]:
        return lambda tx: commands.edit(
            tx, check.pid, check.uuid, CheckIn(name=name), at=START, ids=ids, actor=CLI, mark=seen
        )

    await town.world.ping(check, START)
    await db.write(edited("quick"))
    with pytest.raises(ChangedMeanwhileError):
        await db.write(edited("slow"))
    assert "quick" == (await town.world.row(check)).name


# --- channels ------------------------------------------------------------------------------------


async def hook(owner: Browser, db: Database) -> tuple[str, str]:
    made = await owner.post(
        "/p/main/channels/new/webhook", {"name": "Hook", "value": "https://hooks.example.com/very/secret"}
    )
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", made.body.decode())
    assert secret is not None
    row = await one(db, sa.select(channels))
    return f"/p/main/channels/{row.uuid}", secret.group()


async def config_of(db: Database) -> dict[str, Any]:
    row = await one(db, sa.select(channels))
    found: dict[str, Any] = msgspec.json.decode(SEALER.open(row.config_enc))
    return found


async def test_a_channel_is_edited_and_its_secret_address_is_neither_shown_nor_lost(town: Town, db: Database) -> None:
    owner = await town.owner()
    check = await town.world.check(START, name="later")
    path, secret = await hook(owner, db)
    await db.write(lambda tx: tx.conn.execute(sa.delete(check_channels)))
    page = (await owner.get(f"{path}/edit")).body.decode()
    assert "very/secret" not in page
    assert secret not in page
    fields = await fields_of(owner, f"{path}/edit")
    assert 303 == (await owner.post(f"{path}/edit", fields)).status
    assert [] == await entries(db, "channel.edit")

    fields = await fields_of(owner, f"{path}/edit")
    changed = {"name": "Pager", "method": "PUT", "body": "$NAME is $STATUS", "event": ["check.down", "check.late"]}
    assert 303 == (await owner.post(f"{path}/edit", fields | changed | {"all_checks": "1"})).status
    row, config = await one(db, sa.select(channels)), await config_of(db)
    assert ("Pager", ["check.down", "check.late"]) == (row.name, list(row.events))
    assert ("https://hooks.example.com/very/secret", "PUT", "$NAME is $STATUS", [secret]) == (
        config["url"], config["method"], config["body"], config["secrets"],
    )  # fmt: skip
    assert (await town.world.row(check)).wants_late
    (entry,) = await entries(db, "channel.edit")
    assert "user:owner@example.com" == entry.actor
    assert "very/secret" not in str(entry)

    fields = await fields_of(owner, f"{path}/edit")
    assert 303 == (await owner.post(f"{path}/edit", fields | {"value": "https://hooks.example.com/new"})).status
    assert "https://hooks.example.com/new" == (await config_of(db))["url"]


async def test_a_webhooks_headers_are_typed_but_never_shown(town: Town, db: Database) -> None:
    owner = await town.owner()
    headers = "X-Key: never shown\r\n\r\nX-Other:  two: parts \r\n"
    asked = {"name": "Hook", "value": "https://hooks.example.com/x", "headers": headers}
    made = await owner.post("/p/main/channels/new/webhook", asked)
    path = f"/p/main/channels/{(await one(db, sa.select(channels))).uuid}/edit"
    page = (await owner.get(path)).body.decode()
    assert (201, {"X-Key": "never shown", "X-Other": "two: parts"}) == (made.status, (await config_of(db))["headers"])
    assert (True, False, False) == ("Empty: X-Key, X-Other stay." in page, "never shown" in page, "two: parts" in page)

    assert 303 == (await owner.post(path, await fields_of(owner, path) | {"body": "x"})).status
    assert {"X-Key": "never shown", "X-Other": "two: parts"} == (await config_of(db))["headers"]
    elsewhere = {"value": "https://elsewhere.example.com/x", "headers": "Authorization: Bearer z"}
    assert 303 == (await owner.post(path, await fields_of(owner, path) | elsewhere)).status
    assert {"Authorization": "Bearer z"} == (await config_of(db))["headers"]
    away = {"value": "https://hooks.example.com/y", "drop_headers": "1"}
    assert 303 == (await owner.post(path, await fields_of(owner, path) | away)).status
    assert "headers" not in await config_of(db)
    assert "Bearer z" not in str(await entries(db, "channel.edit"))


@on_sqlite
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("nonsense", "one a line"), (": x", "one a line"), ("X-Key: a\nx-key: b", "is there twice"),
        ("Content-Length: 5", ""), ("webhook-id: 5", "set by Heartfly itself"), ("X Key: a", ""), ("X-Key: a\x00b", ""),
    ],
)  # fmt: skip
async def test_headers_that_cannot_be_sent_are_told_beside_their_field(
    town: Town, db: Database, typed: str, said: str
) -> None:
    owner = await town.owner()
    path, _ = await hook(owner, db)
    new = {"name": "New", "value": "https://hooks.example.com/x", "headers": typed}
    before = await one(db, sa.select(channels))  # there is one, and no other

    heard = [
        await owner.post("/p/main/channels/new/webhook", new),
        await owner.post(f"{path}/edit", await fields_of(owner, f"{path}/edit") | {"headers": typed}),
    ]

    for reply in heard:
        assert (422, True) == (reply.status, 'id="headers-wrong"' in reply.body.decode()), reply.body.decode()
        assert said in reply.body.decode()
    assert before == await one(db, sa.select(channels))


async def test_a_new_channel_hears_what_is_ticked_and_gets_the_digest_that_is_chosen(town: Town, db: Database) -> None:
    owner = await town.owner()
    path = "/p/main/channels/new/email"
    usual = await fields_of(owner, path)
    assert "check.late" not in usual["event"]
    assert "check.down" in usual["event"]

    fields = {"name": "Ops", "value": "ops@example.com", "event": ["check.down", "check.late"], "digest": "weekly"}
    assert 303 == (await owner.post(path, usual | fields)).status
    row = await one(db, sa.select(channels))
    assert (["check.down", "check.late"], "weekly") == (list(row.events), (await config_of(db))["digest"])

    edit = f"/p/main/channels/{row.uuid}/edit"
    assert 303 == (await owner.post(edit, await fields_of(owner, edit) | {"digest": ""})).status
    assert ("ops@example.com", False) == ((await config_of(db))["to"], "digest" in await config_of(db))
    for field, value in (("digest", "hourly"), ("value", "")):
        refused = await owner.post(edit, await fields_of(owner, edit) | {field: value})
        assert (422, True) == (refused.status, f'id="{field}-wrong"' in refused.body.decode())


async def test_slacks_secret_address_stays_when_its_digest_is_chosen(town: Town, db: Database) -> None:
    owner = await town.owner()
    address = "https://hooks.slack.com/services/T0/B0/secret"
    await owner.post("/p/main/channels/new/slack", {"name": "Chat", "value": address})
    edit = f"/p/main/channels/{(await one(db, sa.select(channels))).uuid}/edit"

    for digest in ("daily", "both", ""):
        assert 303 == (await owner.post(edit, await fields_of(owner, edit) | {"digest": digest})).status
        config = await config_of(db)
        assert (address, digest) == (config["url"], config.get("digest", ""))


async def test_headers_that_the_form_does_not_have_survive_it(town: Town, db: Database) -> None:
    owner = await town.owner()
    path, _ = await hook(owner, db)
    config = await config_of(db) | {"headers": {"X-Key": "k"}, "down": {"method": "PUT"}}
    sealed = SEALER.seal(msgspec.json.encode(config))
    await db.write(lambda tx: tx.conn.execute(sa.update(channels).values(config_enc=sealed)))
    fields = await fields_of(owner, f"{path}/edit")
    assert 303 == (await owner.post(f"{path}/edit", fields | {"body": "x"})).status
    assert config | {"body": "x", "method": "POST"} == await config_of(db)


async def test_headers_go_to_no_other_place_than_they_were_given_for(town: Town, db: Database) -> None:
    """Nobody may read them, so nobody may have them sent to himself."""
    owner = await town.owner()
    path, _ = await hook(owner, db)
    config = await config_of(db) | {"headers": {"X-Key": "k"}}
    sealed = SEALER.seal(msgspec.json.encode(config))
    await db.write(lambda tx: tx.conn.execute(sa.update(channels).values(config_enc=sealed)))
    fields = await fields_of(owner, f"{path}/edit")
    for other in ("https://evil.example.com/x", "http://hooks.example.com/x", "https://hooks.example.com:444/x"):
        told = await owner.post(f"{path}/edit", fields | {"value": other})
        assert (422, True) == (told.status, 'id="value-wrong"' in told.body.decode())
    assert config == await config_of(db)
    assert 303 == (await owner.post(f"{path}/edit", fields | {"value": "https://hooks.example.com/new"})).status
    assert {"X-Key": "k"} == (await config_of(db))["headers"]


async def test_another_address_keeps_the_digest_that_was_chosen(town: Town, db: Database) -> None:
    owner = await town.owner()
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    sealed = SEALER.seal(msgspec.json.encode(await config_of(db) | {"digest": "daily"}))
    await db.write(lambda tx: tx.conn.execute(sa.update(channels).values(config_enc=sealed)))
    path = f"/p/main/channels/{(await one(db, sa.select(channels))).uuid}/edit"
    assert 303 == (await owner.post(path, await fields_of(owner, path) | {"value": "new@example.com"})).status
    assert ("new@example.com", "daily") == ((await config_of(db))["to"], (await config_of(db))["digest"])


async def test_who_has_not_seen_a_channels_edit_is_shown_both(town: Town, db: Database) -> None:
    owner = await town.owner()
    await owner.post("/p/main/channels/new/email", {"name": "Ops", "value": "ops@example.com"})
    row = await one(db, sa.select(channels))
    path = f"/p/main/channels/{row.uuid}/edit"
    late = await fields_of(owner, path)
    assert 303 == (await owner.post(path, late | {"value": "new@example.com"})).status
    refused = await owner.post(path, late | {"name": "Mine", "event": "check.down"})
    page = refused.body.decode()

    assert 409 == refused.status
    for said in ("Somebody else changed this channel", "new@example.com", "Mine", "check.up"):
        assert said in page
    assert "Ops" == (await one(db, sa.select(channels))).name


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Other"}, "name"),
        ({"value": "ftp://example.com/"}, "value"),
        ({"method": "DELETE"}, "method"),
        ({"method": "GET", "body": "x"}, "body"),
        ({"event": "check.nonsense"}, "events"),
    ],
)
async def test_what_is_wrong_with_a_channels_edit_stands_beside_its_field(
    town: Town, db: Database, changed: dict[str, str], field: str
) -> None:
    owner = await town.owner()
    path, _ = await hook(owner, db)
    await owner.post("/p/main/channels/new/email", {"name": "Other", "value": "ops@example.com"})
    before = await one(db, sa.select(channels).where(channels.c.kind == "webhook"))
    told = await owner.post(f"{path}/edit", await fields_of(owner, f"{path}/edit") | changed)

    assert told.status in {409, 422}
    assert f'id="{field}-wrong"' in told.body.decode()
    assert before == await one(db, sa.select(channels).where(channels.c.kind == "webhook"))


async def test_a_secret_is_rotated_shown_once_and_the_old_one_signs_on(
    town: Town, db: Database, clock: SimClock
) -> None:
    owner = await town.owner()
    path, old = await hook(owner, db)
    told = await owner.post(f"{path}/rotate-secret", {"overlap": "3600"})
    new = re.search(r"whsec_[A-Za-z0-9+/=]+", told.body.decode())
    config = await config_of(db)

    assert new is not None
    assert ([new.group()], [old]) == (config["secrets"], config["retired"]["secrets"])
    page = (await owner.get(f"{path}/edit")).body.decode()
    assert "A rotation is under way" in page
    assert new.group() not in page
    clock.move_to(START + 61 * MINUTE)
    assert "A rotation is under way" not in (await owner.get(f"{path}/edit")).body.decode()
    assert 422 == (await owner.post(f"{path}/rotate-secret", {"overlap": "-5"})).status
    assert 1 == len(await entries(db, "channel.rotate_secret"))


async def test_a_channel_whose_secret_is_lost_gets_a_new_address(town: Town, db: Database) -> None:
    owner = await town.owner()
    path, _ = await hook(owner, db)
    await db.write(lambda tx: tx.conn.execute(sa.update(channels).values(config_enc=b"lost")))
    with pytest.raises(StoreError):
        await config_of(db)
    page = (await owner.get(f"{path}/edit")).body.decode()
    assert "cannot be opened any more" in page
    fields = await fields_of(owner, f"{path}/edit")
    assert 303 == (await owner.post(f"{path}/edit", fields | {"value": "https://hooks.example.com/new"})).status
    assert "https://hooks.example.com/new" == (await config_of(db))["url"]
