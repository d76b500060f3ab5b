"""The list of checks by tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape

import pytest

from heartfly.core.words import PingKind
from heartfly.web.grouped import grouped
from tests.web.browser import Browser
from tests.web.conftest import START, Town

LIST = "/p/main/checks"
ORDER = {"down": 0, "up": 1}


@dataclass(frozen=True)
class Line:
    name: str
    shown: str
    tags: Sequence[str] = ()


def of(*lines: Line) -> list[tuple[str, str]]:
    return [(one.tag, " ".join(line.name for line in one.lines)) for one in grouped(lines, ORDER)]


def test_each_check_stands_once_under_its_first_tag_in_the_order_of_the_list() -> None:
    assert [("db", "a c"), ("etl", "b")] == of(
        Line("a", "up", ["db", "etl"]), Line("b", "up", ["etl"]), Line("c", "up", ["db"])
    )


def test_groups_come_as_their_worst_check_would_then_by_name_and_without_a_tag_last() -> None:
    assert [("z", "a b"), ("", "c d"), ("B", "e"), ("x", "f")] == of(
        Line("a", "down", ["z"]), Line("c", "down"), Line("b", "up", ["z"]), Line("d", "up"), Line("f", "up", ["x"]),
        Line("e", "up", ["B"]),
    )  # fmt: skip


def test_of_nothing_there_is_no_group() -> None:
    assert [] == of()


async def groups(browser: Browser, query: str) -> list[tuple[str, list[str]]]:
    page = (await browser.get(f"{LIST}?{query}")).body.decode()
    found = []
    for part in page.split('class="group">')[1:]:
        head, rest = part.split("</h2>", 1)
        names = re.findall(r'/checks/[-0-9a-f]{36}"><bdi>([^<]*)', rest.split("</section>", 1)[0])
        found.append((unescape(re.sub(r"<[^>]+>", "", head)).strip(), names))
    return found


@pytest.mark.anyio
async def test_the_list_is_shown_by_tags_as_far_as_it_is_filtered(town: Town) -> None:
    w, owner = town.world, await town.owner()
    assert "By tag" not in (await owner.get(LIST)).body.decode()
    await w.check(START, name="Plain")
    assert "By tag" not in (await owner.get(LIST)).body.decode()  # nothing has a tag
    down = await w.check(START, name="Load", tags=("etl", "<b>"))
    await w.check(START, name="Dump", tags=("<b>",))
    await w.ping(down, START, PingKind.FAIL)

    page = (await owner.get(f"{LIST}?q=o")).body.decode()
    (link,) = re.findall(r'href="([^"]+)">By tag', page)

    assert f"{LIST}?q=o&group=tag" == unescape(link)
    assert [("etl 1", ["Load"]), ("<b> 1", ["Dump"]), ("No tag 1", ["Plain"])] == await groups(owner, "group=tag")
    assert [("etl 1", ["Load"])] == await groups(owner, "q=lo&group=tag")
    shown = (await owner.get(f"{LIST}?q=lo&group=tag")).body.decode()
    assert f'href="{LIST}?q=lo" aria-current="true">By tag' in shown  # and back
    assert '<input type="hidden" name="group" value="tag">' in shown  # another filter keeps it
    assert [] == await groups(owner, "view=timeline&group=tag")


@pytest.mark.anyio
async def test_what_is_no_group_is_refused_and_a_grouped_list_is_saved_as_a_view(town: Town) -> None:
    owner = await town.owner()
    await town.world.check(START, name="Load", tags=("etl",))

    wrong = await owner.get(f"{LIST}?group=name")
    saved = await owner.post("/p/main/views", {"name": "Tags", "group": "tag"})

    assert (422, True) == (wrong.status, "must be tag" in wrong.body.decode())
    assert f"{LIST}?group=tag" == saved.headers["location"]
    assert 'aria-current="page"><bdi>Tags</bdi>' in (await owner.get(f"{LIST}?group=tag")).body.decode()
    refused = await owner.post("/p/main/views", {"name": "Others", "group": "name"})
    assert 422 == refused.status
