"""`heartfly import healthchecks` against a server that speaks that API: another Heartfly, and answers as theirs are."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typing_extensions import override

from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e

UUID = "c4b3f2a0-0000-4000-8000-00000000000a"
KEY = "hcw_" + "a" * 28
# As version 4.4 answers a key that may write.
CHECK: dict[str, Any] = {
    "name": "Foo Bar", "slug": "foo-bar", "tags": "a b", "desc": "d", "grace": 3600, "n_pings": 0, "status": "new",
    "started": False, "last_ping": None, "next_ping": None, "manual_resume": False, "methods": "", "subject": "",
    "subject_fail": "", "start_kw": "", "success_kw": "", "failure_kw": "", "filter_subject": False,
    "filter_body": False, "filter_http_body": False, "filter_default_fail": False,
    "badge_url": "https://hc.example/b/2/4262f2a0-0000-4000-8000-00000000000b.svg", "uuid": UUID,
    "ping_url": f"https://hc.example/ping/{UUID}", "update_url": f"https://hc.example/api/v3/checks/{UUID}",
    "pause_url": f"https://hc.example/api/v3/checks/{UUID}/pause",
    "resume_url": f"https://hc.example/api/v3/checks/{UUID}/resume",
    "channels": "b966757e-0000-4000-8000-00000000000c", "timeout": 86400,
}  # fmt: skip
BADGES = {"*": {"svg": "https://hc.example/badge/c0c9c1c1-0000-4000-8000-000000000002/abcd1234-2.svg"}}
ANSWERS: dict[str, Any] = {
    "/api/v3/checks/": {"checks": [CHECK]},
    "/api/v3/channels/": {
        "channels": [{"id": "b966757e-0000-4000-8000-00000000000c", "name": "hook", "kind": "webhook"}]
    },
    "/api/v3/badges/": {"badges": BADGES},
}


class Theirs(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.server.answers.get(self.path)  # type: ignore[attr-defined]
        status = 200 if self.headers["X-Api-Key"] == KEY else 401
        told = found if status == 200 else {"error": "wrong api key"}
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(301 if found is None else status)
        if found is None:
            self.send_header("location", "https://elsewhere.example/")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def theirs() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Theirs)
    made.answers = dict(ANSWERS)  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(60)


def of(theirs: ThreadingHTTPServer, *more: str) -> tuple[str, ...]:
    return ("import", "healthchecks", "--url", f"http://127.0.0.1:{theirs.server_port}", "--key", KEY, *more)


def test_it_says_first_what_would_come_of_it_and_does_it_with_yes(
    run: Run, server: Server, theirs: ThreadingHTTPServer
) -> None:
    would = ok(run(*of(theirs, "--ping-key", "k" * 22, "--keep-key")))
    assert "would be made" in would
    assert "Foo Bar: there is no channel here as there: hook" in would
    assert "1 check would be made, 2 addresses of badges would be kept, the ping key would work here" in would
    assert "Nothing was changed" in would
    assert "There is no check" in run("checks", "show", "foo-bar").stderr

    did = ok(run(*of(theirs, "--yes", "--ping-key", "k" * 22, "--keep-key")))
    again = ok(run(*of(theirs, "--yes", "--ping-key", "k" * 22, "--keep-key")))

    assert "1 check made" in did
    assert "1 check the same already, the ping key works here already, the API key works here already." in again
    for path in (f"/ping/{UUID}", f"/{UUID}", f"/ping/{'k' * 22}/foo-bar", f"/{'k' * 22}/foo-bar/start"):
        with urllib.request.urlopen(server.url + path) as reply:
            assert (200, b"OK") == (reply.status, reply.read())
    for path in (
        "/b/2/4262f2a0-0000-4000-8000-00000000000b.svg",
        BADGES["*"]["svg"].removeprefix("https://hc.example"),
    ):
        with urllib.request.urlopen(server.url + path) as reply:
            assert "image/svg+xml" == reply.headers["content-type"]
    request = urllib.request.Request(f"{server.url}/api/v3/checks/", headers={"X-Api-Key": KEY})
    with urllib.request.urlopen(request) as reply:
        assert [UUID] == [check["uuid"] for check in json.loads(reply.read())["checks"]]


def test_a_difference_is_told_and_made_the_same_only_when_that_is_asked_for(
    run: Run, theirs: ThreadingHTTPServer
) -> None:
    ok(run(*of(theirs, "--yes")))
    changed = {"checks": [CHECK | {"grace": 60}]}
    theirs.answers["/api/v3/checks/"] = changed  # type: ignore[attr-defined]

    told = ok(run(*of(theirs, "--yes")))
    machine = json.loads(ok(run(*of(theirs, "--yes", "--json"))))
    updated = ok(run(*of(theirs, "--yes", "--update")))

    assert "Foo Bar: grace is 60 there, 3600 here" in told
    assert "1 check here already, and different." in told
    assert [{"field": "grace", "theirs": 60, "ours": 3600}] == machine["checks"][0]["differences"]
    assert "1 check changed." in updated


def test_another_heartfly_is_read_by_the_same_api(
    run: Run, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Server(tmp_path_factory.mktemp("other"))
    other.start()
    try:
        key = (other.folder / "heartfly-data" / "cli-key").read_text().strip()
        other.api("POST", "/v1/badges/key", key)
        made = [
            other.api("POST", "/v1/checks", key, asked)
            for asked in (
                {
                    "name": "One",
                    "tags": ["x"],
                    "schedule": {"kind": "cron", "expression": "0 4 * * *", "zone": "Europe/Riga"},
                },
                {"name": "Two", "grace": 90, "filters": {"success": ["done"]}, "sticky": True},
            )
        ]
        badges = other.api("GET", "/v1/badges", key)["items"]
        asked = ("import", "healthchecks", "--url", other.url, "--key", key, "--yes", "--json")
        first, second = json.loads(ok(run(*asked))), json.loads(ok(run(*asked)))
    finally:
        other.leave()

    ours = {one["name"]: one for one in json.loads(ok(run("checks", "list", "--json")))}
    for one in made:
        same = ("name", "slug", "tags", "schedule", "grace", "filters", "sticky")
        assert {name: one[name] for name in same} == {name: ours[one["name"]][name] for name in same}
        assert one["ping_url"].rpartition("/")[2] == ours[one["name"]]["ping_url"].rpartition("/")[2]
    assert {"new"} == {one["outcome"] for one in first["checks"]} - {"refused"}
    assert {"same"} == {one["outcome"] for one in second["checks"]} - {"refused"}
    for one in badges:
        if one["name"] in {"One", "Two", "x"}:
            path = one["three_states"]["shields"].partition("/badge/")[2]
            with urllib.request.urlopen(f"{server.url}/badge/{path}") as reply:
                assert one["name"] == json.loads(reply.read())["label"]


def test_one_that_is_refused_is_told_and_is_exit_status_1(run: Run, theirs: ThreadingHTTPServer) -> None:
    wrong = CHECK | {"uuid": UUID.replace("c4b3", "dddd"), "tags": "x" * 60}
    theirs.answers["/api/v3/checks/"] = {"checks": [wrong, CHECK]}  # type: ignore[attr-defined]

    told = run(*of(theirs, "--yes"))

    assert (1, True) == (told.exit_code, "refused: tags must have at most 50 characters" in told.stdout)


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        ("/api/v3/checks/", b"<html>", "does not speak the API of Healthchecks (200)"),
        ("/api/v3/checks/", {"checks": 5}, "does not speak the API of Healthchecks."),
        ("/api/v3/checks/", {"checks": [{"unique_key": "x"}]}, "This key may only read there"),
        ("/api/v3/checks/", None, "sends on to https://elsewhere.example/"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(
    run: Run, theirs: ThreadingHTTPServer, path: str, answer: Any, sentence: str
) -> None:
    theirs.answers[path] = answer  # type: ignore[attr-defined]

    told = run(*of(theirs))

    assert (1, "") == (told.exit_code, told.stdout)
    assert sentence in told.stderr


def test_a_key_that_is_not_known_and_a_server_that_is_not_there_are_told(run: Run, theirs: ThreadingHTTPServer) -> None:
    here = f"http://127.0.0.1:{theirs.server_port}"
    unknown = run("import", "healthchecks", "--url", here, "--key", "none")
    nowhere = run("import", "healthchecks", "--url", "http://127.0.0.1:1", "--key", KEY)
    no_url = run("import", "healthchecks", "--url", "ftp://x", "--key", KEY)

    assert "does not know this key" in unknown.stderr
    assert "cannot be reached" in nowhere.stderr
    assert (2, True) == (no_url.exit_code, "must be http(s)://" in no_url.stderr)


def test_an_empty_project_is_told(run: Run, theirs: ThreadingHTTPServer) -> None:
    theirs.answers |= {"/api/v3/checks/": {"checks": []}, "/api/v3/badges/": {"badges": {}}}  # type: ignore[attr-defined]

    assert "There are no checks there." in ok(run(*of(theirs)))
