"""What takes something away for good looks like it: whoever is tired must not take it for the button beside it."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from heartfly.core.words import AlertKind
from heartfly.web.channels import EVENTS
from tests.one_database import on_sqlite
from tests.web.conftest import Town
from tests.web.test_pages import text_of

_CONTROL = re.compile(r"<(?:button|a)\b([^>]*)>((?:(?!</(?:button|a)>).)*)</(?:button|a)>", re.DOTALL)
_GRAVE = re.compile(r"\s*(?:<span>)?\s*(Delete|Erase|Revoke|Take back)\b")
_LOOKS = re.compile(r'class="[^"]*\b(grave|danger)\b')


def controls() -> list[tuple[str, str, str]]:
    """Of all templates: which, its attributes, and what is within."""
    return [
        (file.name, *found)
        for file in files("heartfly.web").joinpath("templates").iterdir()
        for found in _CONTROL.findall(file.read_text())
    ]


def test_each_button_that_deletes_revokes_or_takes_back_is_red() -> None:
    grave = [(name, attributes, within) for name, attributes, within in controls() if _GRAVE.match(within)]

    assert len(grave) > 15
    assert [] == [(name, within) for name, attributes, within in grave if not _LOOKS.search(attributes)]


@on_sqlite
@pytest.mark.anyio
async def test_a_channel_that_reaches_nobody_says_so_on_its_page_and_what_it_hears_in_words(town: Town) -> None:
    owner = await town.owner()
    sent = {
        "name": "Pager",
        "value": "http://127.0.0.1:9/hook",
        "events": "1",
        "event": ["check.down", "rule.resolved"],
    }
    made = await owner.post("/p/main/channels/new/webhook", sent)
    found = re.search(r'action="(/p/main/channels/[0-9a-f-]{36})/test"', made.body.decode())
    assert found is not None

    for page in (await text_of(owner, found[1]), await text_of(owner, "/p/main/channels")):
        assert ("Reaches nobody" in page, "State OK" in page, "config.url" in page) == (True, False, False)
    assert f"Hears {EVENTS[AlertKind.DOWN]}; {EVENTS[AlertKind.RULE_RESOLVED]} Of checks" in await text_of(
        owner, found[1]
    )
