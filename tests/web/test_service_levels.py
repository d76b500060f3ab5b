"""Service levels on pages: what is aimed at in the check's form, what became of it beside the check and in one list."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.core.words import PingKind
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town
from tests.web.test_editing import fields_of
from tests.web.test_pages import text_of

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
LEVELS = "/p/main/service-levels"


async def test_a_target_is_set_in_the_form_and_stands_beside_the_check_and_in_the_list(
    town: Town, clock: SimClock
) -> None:
    check = await town.world.check(START, name="Backup", slug="backup")
    await town.world.check(START, name="Other", slug="other")
    for hour in range(4):
        await town.world.ping(check, START + hour * HOUR, PingKind.FAIL if hour == 2 else PingKind.SUCCESS)
    clock.move_to(START + 3.5 * HOUR)
    browser, edit = await town.owner(), f"/p/main/checks/{check.uuid}/edit"
    assert "Nothing is aimed at yet" in await text_of(browser, LEVELS)
    fields = await fields_of(browser, edit)
    assert ("", "", "30") == (fields["slo_on_time"], fields["slo_success"], fields["slo_days"])
    saved = await browser.post(edit, fields | {"slo_on_time": "99,5 %", "slo_success": "50"})
    again = await fields_of(browser, edit)

    assert (303, "99.5", "50") == (saved.status, again["slo_on_time"], again["slo_success"])
    for path in (LEVELS, "/p/main/checks/backup"):
        text = await text_of(browser, path)
        assert "100 % 4 of 4 Kept 99.5 %: 0.02 of 0.02 bad runs left" in text
        assert "75 % 3 of 4 Kept 50 %: 1 of 2 bad runs left" in text
    assert "Other" not in await text_of(browser, LEVELS)
    assert "Other" in await text_of(browser, f"{LEVELS}?all=1")
    assert "2026-02-01 – 2026-02-28" in await text_of(browser, f"{LEVELS}?month=2026-02")
    await text_of(browser, f"{LEVELS}?month=2026", 422)


async def test_what_cannot_be_aimed_at_stands_beside_its_field_and_nothing_takes_it_away(town: Town) -> None:
    check = await town.world.check(START, name="Backup", slo='{"success":"99"}')
    browser, edit = await town.owner(), f"/p/main/checks/{check.uuid}/edit"
    fields = await fields_of(browser, edit)
    wrong = await browser.post(edit, fields | {"slo_success": "101"})
    gone = await browser.post(edit, fields | {"slo_success": ""})

    assert (422, True) == (wrong.status, "must be more than 0 and at most 100" in wrong.body.decode())
    assert 'id="slo_success"' in wrong.body.decode()
    assert (303, "") == (gone.status, (await town.world.row(check)).slo)
