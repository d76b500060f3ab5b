"""Clients of Healthchecks, as they are on PyPI, against a real server; and what scripts, providers and playbooks send.

healthchecks-io demands an older httpx than we do, so it runs in an environment of its own, with what it demands.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from healthchecks_decorator import healthcheck

from tests.server_process import Server

pytestmark = pytest.mark.e2e

CLIENT = "healthchecks-io==0.4.4"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return (server.folder / "heartfly-data" / "cli-key").read_text().strip()


@pytest.fixture(scope="module")
def ping_key(server: Server, key: str) -> str:
    return str(server.api("GET", "/v1/project", key)["ping_key"])


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment that holds the client and what it demands."""
    folder = tmp_path_factory.mktemp("healthchecks-io")
    venv.create(folder, with_pip=True)
    made = folder / "bin" / "python"
    done = subprocess.run(
        [made, "-m", "pip", "install", "-q", "--disable-pip-version-check", CLIENT],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        if os.environ.get("HEARTFLY_REQUIRE_ALL"):
            pytest.fail(f"{CLIENT} cannot be had: {done.stderr[-500:]}")
        pytest.skip(f"{CLIENT} cannot be had: {done.stderr[-200:]}")
    return made


def told(python: Path, server: Server, script: str, **given: str) -> Any:
    """What a script prints as JSON that has a `client` of that library, and what is `given` by name."""
    head = (
        "import json, sys\n"
        "from healthchecks_io import Client, CheckCreate, CheckTrap, CheckUpdate\n"
        "import healthchecks_io as lib\n"
        "url, given = sys.argv[1], json.loads(sys.argv[2])\n"
        "client = Client(api_key=given['key'], ping_key=given.get('ping_key', ''), api_url=url + '/api/',\n"
        "                ping_url=url + '/ping/', api_version=int(given.get('version', '3')))\n"
    )
    done = subprocess.run(
        [python, "-W", "ignore", "-c", head + script, server.url, json.dumps(given)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_healthchecks_io_makes_finds_changes_and_deletes_checks(
    python: Path, server: Server, key: str, version: str
) -> None:
    script = """
made = client.create_check(CheckCreate(name="Made", tags="one two", timeout=120, grace=60))
again = client.create_check(CheckCreate(name="Made", tags="one two", desc="again", unique=["name", "tags"]))
cron = client.create_check(CheckCreate(name="Cron", schedule="*/5 * * * *", tz="Europe/Riga"))
listed = client.get_checks(tags=["one", "two"])
paused = client.pause_check(made.uuid)
updated = client.update_check(made.uuid, CheckUpdate(grace=90))
gone = [client.delete_check(check.uuid).uuid for check in (made, cron)]
try:
    client.get_check(made.uuid)
    missing = "found"
except lib.CheckNotFoundError as error:
    missing = type(error).__name__
same = [made.uuid == again.uuid, gone == [made.uuid, cron.uuid]]
print(json.dumps([*same, [one.name for one in listed], paused.status, updated.grace, missing]))
"""
    assert [True, True, ["Made"], "paused", 90, "CheckNotFoundError"] == told(
        python, server, script, key=key, version=version
    )


def test_healthchecks_io_pings_by_address_and_by_slug_and_reads_what_became_of_it(
    python: Path, server: Server, key: str, ping_key: str
) -> None:
    script = """
made = client.create_check(CheckCreate(name="Pinged job"))
answers = [
    client.start_ping(uuid=made.uuid),
    client.success_ping(slug="pinged-job", data="all is well"),
    client.fail_ping(uuid=made.uuid),
    client.exit_code_ping(3, uuid=made.uuid),
]
with CheckTrap(client, uuid=made.uuid) as trap:
    trap.add_log("in the trap")
try:
    with CheckTrap(client, uuid=made.uuid):
        raise ValueError("it broke")
except ValueError:
    pass
pings = client.get_check_pings(made.uuid)
seen = client.get_check(made.uuid)
channels = [one.name for one in client.get_integrations()]
print(json.dumps([answers, [ping.type for ping in pings], seen.status, channels]))
"""
    answers, kinds, status, channels = told(python, server, script, key=key, ping_key=ping_key, version="1")

    assert [[True, "OK"]] * 4 == answers
    assert ["fail", "start", "success", "start", "fail", "fail", "success", "start"] == kinds
    assert ("down", []) == (status, channels)


def test_healthchecks_io_hears_of_what_is_wrong(python: Path, server: Server, key: str) -> None:
    script = """
def name_of(work):
    try:
        work()
    except Exception as error:
        return type(error).__name__
    return "nothing"
unknown = Client(api_key="no", api_url=url + "/api/", ping_url=url + "/ping/")
print(json.dumps([
    name_of(lambda: unknown.get_checks()),
    name_of(lambda: client.create_check(CheckCreate(name="x", grace=5))),
    name_of(lambda: client.success_ping(uuid="3f0f8f9e-6a1c-4a55-8d4c-111111111111")),
    name_of(lambda: client.get_check("3f0f8f9e-6a1c-4a55-8d4c-111111111111")),
]))
"""
    assert ["HCAPIAuthError", "BadAPIRequestError", "CheckNotFoundError", "CheckNotFoundError"] == told(
        python, server, script, key=key
    )


def test_healthchecks_io_reads_badges_and_with_a_reader_s_key(python: Path, server: Server, key: str) -> None:
    server.api("POST", "/v1/badges/key", key)
    made = ask(server, key, "POST", "/api/v3/checks/", {"name": "Badged", "tags": "badged"})[1]
    reads = server.api("POST", "/v1/keys", key, {"name": "reads", "scopes": ["read"]})["secret"]
    script = """
check = [one for one in client.get_checks() if one.name == "Badged"][0]
badge = client.get_badges()["badged"]
print(json.dumps([check.unique_key, check.uuid, client.get_check(check.unique_key).name, badge.svg, badge.json3_url]))
"""
    unique_key, uuid, name, svg, json3 = told(python, server, script, key=str(reads))

    assert (40, None, "Badged") == (len(unique_key), uuid, name)
    with urllib.request.urlopen(svg) as picture, urllib.request.urlopen(json3) as figures:
        assert ("image/svg+xml", "up") == (picture.headers["content-type"], json.loads(figures.read())["status"])
    assert made["tags"] == "badged"


def test_healthchecks_decorator_reports_a_function_from_its_start_to_its_end(server: Server, key: str) -> None:
    _, made = ask(server, key, "POST", "/api/v3/checks/", {"name": "Decorated"})

    @healthcheck(url=made["ping_url"], send_start=True, send_diagnostics=True)
    def works() -> dict[str, int]:
        return {"rows": 5}

    @healthcheck(url=made["ping_url"])
    def breaks() -> None:
        raise ValueError("broken")

    assert {"rows": 5} == works()
    with pytest.raises(ValueError, match="broken"):
        breaks()

    pings = ask(server, key, "GET", f"/api/v3/checks/{made['uuid']}/pings/")[1]["pings"]
    assert ["fail", "success", "start"] == [ping["type"] for ping in pings]
    with urllib.request.urlopen(urllib.request.Request(pings[1]["body_url"], headers={"X-Api-Key": key})) as reply:
        assert b"rows=5" == reply.read()


def ask(
    server: Server, key: str, method: str, path: str, asked: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """As a script does, whose HTTP does not follow a redirect of a POST."""
    body = None if asked is None else json.dumps(asked).encode()
    request = urllib.request.Request(server.url + path, body, {"X-Api-Key": key, **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            raw, status = reply.read(), reply.status
    except urllib.error.HTTPError as error:
        raw, status = error.read(), error.code
    return status, json.loads(raw) if raw.startswith((b"{", b"[")) else raw.decode()


def test_a_provider_of_terraform_makes_reads_changes_and_destroys_by_version_1(server: Server, key: str) -> None:
    """Its id is the last part of `update_url`; it reads by listing, and needs no drift after an apply."""
    agent = {"User-Agent": "terraform-provider-healthchecksio", "Content-Type": "application/json"}
    wanted = {
        "name": "tf-check",
        "tags": "go foo",
        "grace": 120,
        "timeout": 300,
        "channels": "",
        "desc": "",
        "methods": "",
    }

    status, made = ask(server, key, "POST", "/api/v1/checks/", wanted, agent)
    uuid = made["update_url"].rpartition("/")[2]
    listed = ask(server, key, "GET", "/api/v1/checks/", headers=agent)[1]["checks"]
    (read,) = [one for one in listed if one["ping_url"].rpartition("/")[2] == uuid]
    changed = ask(server, key, "POST", f"/api/v1/checks/{uuid}", wanted | {"schedule": "0 4 * * *", "tz": "UTC"}, agent)
    gone = ask(server, key, "DELETE", f"/api/v1/checks/{uuid}", headers=agent)
    after = ask(server, key, "DELETE", f"/api/v1/checks/{uuid}", headers=agent)

    assert (201, wanted) == (status, {name: read[name] for name in wanted})
    assert (200, "0 4 * * *", "UTC") == (changed[0], changed[1]["schedule"], changed[1]["tz"])
    assert (200, uuid) == (gone[0], gone[1]["uuid"])
    assert (404, {"error": "not found"}) == after


def test_a_playbook_that_runs_twice_makes_one_check(server: Server, key: str) -> None:
    """By `unique`, with a form's content type and the key in the body, as `uri` of Ansible sends what it is told to."""
    asked = {
        "api_key": key, "name": "nightly", "tags": "ansible", "schedule": "30 2 * * *", "tz": "Europe/Berlin",
        "grace": 900, "unique": ["name"],
    }  # fmt: skip
    form = {"X-Api-Key": "", "Content-Type": "application/x-www-form-urlencoded"}

    first, second = (ask(server, "", "POST", "/api/v3/checks", asked, form) for _ in range(2))

    assert (201, 200) == (first[0], second[0])
    assert first[1] == second[1]


def test_a_shell_script_pings_by_slug_and_makes_its_check(server: Server, key: str, ping_key: str) -> None:
    """`curl -fsS -m 10 --retry 5 --data-raw "$out" $URL/ping/$KEY/backup/$?create=1`, the classic."""
    curl = ["curl", "-fsS", "-m", "10", "--retry", "2", "--data-raw", "three files"]

    made, failed = (
        subprocess.run([*curl, f"{server.url}/{path}?create=1"], capture_output=True, text=True, check=True, timeout=60)
        for path in (f"ping/{ping_key}/from-a-script", f"{ping_key}/from-a-script/3")
    )

    (check,) = ask(server, key, "GET", "/api/v3/checks/?slug=from-a-script")[1]["checks"]
    assert ("Created", "OK", "down", 2) == (made.stdout, failed.stdout, check["status"], check["n_pings"])


def test_a_browser_and_prometheus_are_answered_by_the_api_and_not_by_pages(server: Server, key: str) -> None:
    reads = server.api("POST", "/v1/keys", key, {"name": "scrapes", "scopes": ["read"]})["secret"]
    html = {"Accept": "text/html,application/xhtml+xml"}

    nowhere = ask(server, key, "GET", "/api/v3/nothing", headers=html)
    badge = ask(server, key, "GET", f"/b/2/{'0' * 8}-0000-4000-8000-{'0' * 12}.svg", headers=html)
    scraped = ask(server, "", "GET", "/projects/any/metrics/", headers=html | {"Authorization": f"Bearer {reads}"})

    assert [(404, {"error": "not found"})] * 2 == [nowhere, badge]
    assert (200, True) == (scraped[0], "hc_checks_total" in scraped[1])
