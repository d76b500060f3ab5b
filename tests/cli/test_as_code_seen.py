"""`heartfly apply` does what its plan has seen, or stops: what somebody set in between is not overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heartfly.cli.as_code.differ import Change, plan_of
from heartfly.cli.as_code.doing import do
from heartfly.cli.as_code.file import read
from heartfly.cli.as_code.seen import ChangedSince
from heartfly.cli.as_code.there import look
from heartfly.cli.client import Client
from tests.cli.conftest import Run, ok
from tests.cli.test_as_code import ENV, NOW, WHOLE, Project
from tests.server_process import Server


@pytest.fixture
def project(run: Run, tmp_path: Path) -> Project:
    made = Project(run, tmp_path / "heartfly.yaml")
    made.told("apply", "--yes")
    return made


def test_a_plan_that_was_looked_at_is_done_or_nothing_is(run: Run, project: Project) -> None:
    project.say(WHOLE.replace("grace: 10m", "grace: 20m"))
    digest = project.told("plan")["digest"]
    assert f"apply --digest {digest}" in project.words("plan")
    ok(run("checks", "edit", "nightly", "--grace", "15m"))

    refused = project.words("apply", "--yes", "--digest", digest)

    assert refused.startswith("1 ")
    assert "the file, its variables or the project have changed since" in " ".join(refused.split())
    assert 900 == json.loads(ok(run("checks", "show", "nightly", "--json")))["grace"]
    now = project.told("plan")["digest"]
    assert digest != now
    assert 1 == project.told("apply", "--yes", "--digest", now)["done"]
    assert 1200 == json.loads(ok(run("checks", "show", "nightly", "--json")))["grace"]


EDITS: dict[str, tuple[str, str, str, str, dict[str, Any], str]] = {
    "check": ("grace: 10m", "grace: 20m", "/v1/checks", "nightly", {"grace": 900}, "grace was 10 min, and is 15 min"),
    "project": ("zone: Europe/Berlin}\nch", "zone: UTC}\nch", "/v1/project", "", {"zone": "Asia/Tokyo"}, "zone was"),
    "channel": (
        "digest: daily}, events: [check.down, check.up]", "digest: daily}, events: [check.down]", "/v1/channels", "ops",
        {"events": ["check.up"]}, "events was",
    ),
    "meter": ("unit: requests", "unit: calls", "/v1/meters", "requests", {"unit": "x"}, "unit was requests, and is x"),
    "version": ("group_keys: [region]", "group_keys: [zone]", "/v1/meters", "requests", {}, ""),
    "rule": ("severity: high", "severity: low", "/v1/alert-rules", "Errors", {"severity": "medium"}, "severity was"),
}  # fmt: skip


@pytest.mark.parametrize("kind", EDITS)
def test_what_somebody_sets_after_the_plan_was_made_is_not_overwritten(
    server: Server, project: Project, kind: str
) -> None:
    before, after, path, name, edit, told = EDITS[kind]
    assert before in WHOLE
    api = Client(server.url, (server.folder / "heartfly-data" / "cli-key").read_text().strip())
    wanted = read(WHOLE.replace(before, after), name="f", now=NOW, env=ENV)
    there = look(api, list(wanted.sections))
    changes = plan_of(wanted, there, prune=False).changes
    done: list[Change] = []
    if name:
        (found,) = (one for one in api.listed(path) if name in {one.get("slug"), one.get("name")})
        path = f"{path}/{found['id']}"
    if edit:
        api.call("PATCH", path, edit)
        with pytest.raises(ChangedSince, match="has changed since the plan was made: " + told):
            do(api, changes, there.channel_ids, done.append)
        now = api.call("GET", path)
        assert ([], edit) == (done, {field: now[field] for field in edit})
        changes = plan_of(wanted, look(api, list(wanted.sections)), prune=False).changes
    do(api, changes, there.channel_ids, done.append)
    assert 1 == len(done)
    assert [] == plan_of(wanted, look(api, list(wanted.sections)), prune=False).changes


def test_a_check_that_is_no_more_the_file_s_is_not_deleted(server: Server, project: Project) -> None:
    api = Client(server.url, (server.folder / "heartfly-data" / "cli-key").read_text().strip())
    wanted = read(WHOLE.replace("  beat: {schedule: {period: 90s}, grace: 60}\n", ""), name="f", now=NOW, env=ENV)
    there = look(api, list(wanted.sections))
    changes = plan_of(wanted, there, prune=True).changes
    (beat,) = (one for one in api.listed("/v1/checks") if one["slug"] == "beat")
    api.call("PATCH", f"/v1/checks/{beat['id']}", {"tags": []})

    with pytest.raises(ChangedSince, match="check beat has changed since the plan was made: tags was"):
        do(api, changes, there.channel_ids, lambda _: None)

    assert "beat" == api.call("GET", f"/v1/checks/{beat['id']}")["slug"]
