"""Nobody judges, and the pages of a node that only serves say so; in real Chromium, on real nodes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import Server
from tests.web.test_in_a_browser import chromium, set_up, watched
from tests.web.test_live_in_a_browser import ping

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.browser]

__all__ = ["chromium"]

LIMIT_MS = 60_000


@pytest.fixture
def nodes(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """One that serves and does not judge, and one that would."""
    made = tuple(
        Server(tmp_path / roles, {"DATABASE__URL": postgres_url, "SERVER__ROLES": roles})
        for roles in ("serve", "judge")
    )
    for node in made:
        node.folder.mkdir()
    yield made[0], made[1]
    for node in made:
        node.leave()


def test_with_nobody_who_judges_the_pages_of_another_node_say_so_and_stop_when_somebody_does(
    nodes: tuple[Server, Server], chromium: Any
) -> None:
    serving, judge = nodes
    serving.start()
    troubles: list[str] = []
    context = chromium.new_context()
    live = watched(context.new_page(), troubles)
    set_up(serving, live)
    key = (serving.folder / "heartfly-data" / "cli-key").read_text().strip()
    made = serving.api(
        "POST", "/v1/checks", key, {"name": "Backup", "schedule": {"kind": "period", "period": 5}, "grace": 1}
    )
    ping(made["ping_url"])

    live.locator("#late", has_text="Silence is judged only up to").wait_for(timeout=LIMIT_MS)
    other = watched(context.new_page(), troubles)
    other.goto(f"{serving.url}/account/profile")
    assert other.is_visible("#late")
    live.evaluate("window.stays = true")

    (judge.folder / "heartfly-data").mkdir(mode=0o700)
    shutil.copy(serving.folder / "heartfly-data" / "secret.key", judge.folder / "heartfly-data")
    judge.start()
    live.bring_to_front()
    live.locator("#late").wait_for(state="hidden", timeout=LIMIT_MS)
    other.reload()
    assert not other.is_visible("#late")
    live.locator(".row.s-down", has_text="Backup").wait_for(timeout=LIMIT_MS)
    assert live.evaluate("window.stays")
    assert [] == troubles
