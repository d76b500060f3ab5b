"""`heartfly incidents …` and `audit …` against a real server: read, taken care of, talked about, and who did it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.cli.conftest import Run, ok
from tests.server_process import Server

pytestmark = pytest.mark.e2e


def check(run: Run, name: str) -> Any:
    return json.loads(ok(run("checks", "create", name, "--json")))


def ping(made: Any, signal: str = "") -> None:
    urllib.request.urlopen(made["ping_url"] + signal).close()


def test_where_nothing_was_down_that_is_said(run: Run) -> None:
    check(run, "sound")

    assert "There are no incidents." in ok(run("incidents", "list"))
    assert "No incident is like that." in ok(run("incidents", "list", "--state", "open"))
    assert [] == json.loads(ok(run("incidents", "list", "--json")))
    refused = run("incidents", "show", "sound")
    assert (1, True) == (refused.exit_code, "sound has no incident: it was never down." in refused.output)


def test_one_is_listed_taken_care_of_and_talked_about(run: Run) -> None:
    made = check(run, "billing")
    ping(made, "/3")
    listed = ok(run("incidents", "list", "--state", "open", "--check", "billing"))
    (incident,) = json.loads(ok(run("incidents", "list", "--check", made["id"], "--json")))

    taken = ok(run("incidents", "acknowledge", "billing"))
    noted = ok(run("incidents", "comment", incident["id"], "The disk\nwas full. "))
    ping(made)
    shown = ok(run("incidents", "show", "billing"))

    assert re.search(rf"^open +billing +.* exit_status +- +{incident['id']}$", listed, re.MULTILINE), listed
    assert re.search(r"^The incident of billing is acknowledged by key:hf_\w{7}, (now|.* ago)\.$", taken, re.MULTILINE)
    assert "Noted at the incident of billing." in noted
    assert re.search(r"^state +closed$", shown, re.MULTILINE), shown
    assert re.search(r"^explain +The job ended with exit status 3\.$", shown, re.MULTILINE), shown
    assert re.search(r"^acknowledged +by key:hf_\w{7}, ", shown, re.MULTILINE), shown
    assert re.search(r"^key:hf_\w{7}, .*:\n    The disk\n    was full\.$", shown, re.MULTILINE), shown
    assert re.search(r"^\S+Z +acknowledged ", shown, re.MULTILINE), shown
    whole = json.loads(ok(run("incidents", "show", incident["id"], "--json")))
    assert ("closed", ["The disk\nwas full."]) == (whole["state"], [note["text"] for note in whole["notes"]])


def test_only_so_many_are_listed_as_are_asked_for(run: Run) -> None:
    made = check(run, "flapping")
    for signal in ("/fail", "", "/fail", "", "/fail"):
        ping(made, signal)

    found = json.loads(ok(run("incidents", "list", "--check", "flapping", "--limit", "2", "--json")))
    every = json.loads(ok(run("incidents", "list", "--check", "flapping", "--json")))

    assert (["open", "closed"], 3) == ([one["state"] for one in found], len(every))
    assert found == every[:2]


def test_the_audit_tells_what_was_changed_by_whom(run: Run, server: Server) -> None:
    ok(run("checks", "create", "audited", "--grace", "60s"))
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    path = f"/v1/checks/{json.loads(ok(run('checks', 'show', 'audited', '--json')))['id']}"
    server.api("PATCH", path, key, {"grace": 90})
    ok(run("checks", "pause", "audited"))

    told = ok(run("audit", "list", "--check", "audited"))
    edits = json.loads(ok(run("audit", "list", "--action", "check.edit", "--since", "1h", "--json")))
    nothing = ok(run("audit", "list", "--object", "check", "--until", "2020-01-01T00:00:00Z"))

    by = f"key:{key[:10]}"
    assert re.search(rf"{by} +127\.0\.0\.1 +check.pause +check:\S+ +status: new → paused *$", told, re.MULTILINE), told
    assert re.search(rf"{by} +127\.0\.0\.1 +check.edit +check:\S+ +grace: 60 → 90 *$", told, re.MULTILINE), told
    assert re.search(rf"{by} +127\.0\.0\.1 +check.create +check:\S+ +audited *$", told, re.MULTILINE), told
    assert [({"grace": 60}, {"grace": 90})] == [(one["before"], one["after"]) for one in edits]
    assert "No change is like that." in nothing
    assert [] == json.loads(ok(run("audit", "list", "--actor", "ping", "--json")))


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["incidents", "show", "nowhere"], 1, "There is no incident and no check nowhere"),
        (
            ["incidents", "show", "3f0f8f9e-6a1c-4a55-8d4c-111111111111"],
            1,
            "There is no incident and no check 3f0f8f9e",
        ),
        (["incidents", "comment", "quiet", " "], 1, "text:"),
        (["incidents", "acknowledge", "quiet"], 1, "The incident is closed"),
        (["incidents", "list", "--state", "ajar"], 2, "ajar"),
        (["incidents", "list", "--limit", "0"], 2, "--limit"),
        (["incidents", "list", "--check", "nowhere"], 1, "There is no check"),
        (["audit", "list", "--action", "check.explode"], 1, "action:"),
        (["audit", "list", "--object", "Check"], 1, "object:"),
        (["audit", "list", "--since", "yesterday"], 2, "is not a duration"),
        (["audit", "list", "--since", "999999999999"], 2, "is longer than time is"),
        (["audit", "list", "--object", "check", "--check", "quiet"], 2, "Only one of --object, --check"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(run: Run, arguments: list[str], status: int, words: str) -> None:
    if "quiet" in arguments and run("checks", "show", "quiet").exit_code:
        made = check(run, "quiet")
        ping(made, "/fail")
        ping(made)

    result = run(*arguments)

    assert (status, True) == (result.exit_code, words in result.output), result.output
    assert "Traceback" not in result.output


def test_a_key_that_may_only_read_sees_no_audit_and_takes_care_of_nothing(run: Run) -> None:
    made = check(run, "looked at")
    ping(made, "/fail")
    key = json.loads(ok(run("keys", "create", "looker", "--scope", "read", "--json")))["secret"]

    seen = run("incidents", "show", made["slug"], "--key", key)
    refused = [
        run("incidents", "acknowledge", made["slug"], "--key", key),
        run("incidents", "comment", made["slug"], "x", "--key", key),
        run("audit", "list", "--key", key),
    ]

    assert 0 == seen.exit_code, seen.output
    assert [(1, True)] * 3 == [(one.exit_code, "scope" in one.output) for one in refused], [r.output for r in refused]


def test_one_is_shared_by_a_link_that_is_listed_and_taken_back(run: Run) -> None:
    made = check(run, "shared")
    ping(made, "/3")

    assert "The incident of shared has no link." in ok(run("incidents", "shares", "shared"))
    told = ok(run("incidents", "share", "shared", "--for", "2h", "--comments"))
    (link,) = re.findall(r"^    (http\S+/shared/\S{43})$", told, re.MULTILINE)
    (listed,) = json.loads(ok(run("incidents", "shares", "shared", "--json")))
    with urllib.request.urlopen(link) as seen:
        assert b"exit status 3" in seen.read()
    assert re.search(
        rf"^key:hf_\w{{7}} .* shown +{listed['id']}$", ok(run("incidents", "shares", "shared")), re.MULTILINE
    )
    wrong = run("incidents", "share", "shared", "--for", "31d")
    assert (1, True) == (wrong.exit_code, "--for: must be 300 to 2592000 seconds" in wrong.output), wrong.output

    assert "is taken back" in ok(run("incidents", "unshare", "shared", listed["id"]))

    assert 1 == run("incidents", "unshare", "shared", listed["id"]).exit_code
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(link)


def test_a_cause_is_listed_for_its_members_and_shown_with_them(run: Run) -> None:
    names = ("dump of causes", "copy of causes", "upload of causes")
    made = [json.loads(ok(run("checks", "create", name, "--host", "db-9", "--json"))) for name in names]
    ok(run("checks", "edit", made[2]["slug"], "--needs", made[0]["slug"], "--needs", made[1]["id"]))
    shown = ok(run("checks", "show", made[2]["slug"]))
    for one in made:
        ping(one, "/1")
    listed = ok(run("incidents", "list", "--by-cause", "--state", "open"))
    (cause,) = [one for one in json.loads(ok(run("incidents", "list", "--json"))) if one["source"] == "host"]
    whole = ok(run("incidents", "show", cause["id"]))
    member = ok(run("incidents", "show", made[1]["slug"]))
    why = ok(run("checks", "explain", made[2]["slug"]))
    ok(run("checks", "edit", made[2]["slug"], "--needs", "none", "--host", ""))
    bare = json.loads(ok(run("checks", "show", made[2]["slug"], "--json")))

    assert re.search(r"^host +db-9$", shown, re.MULTILINE), shown
    assert re.search(r"^needs +dump-of-causes, copy-of-causes$", shown, re.MULTILINE), shown
    assert re.search(r"^open +host db-9 ", listed, re.MULTILINE), listed
    assert "copy of causes" not in listed
    assert re.search(r"^of +host db-9$", whole, re.MULTILINE), whole
    assert all(re.search(rf"^down +{name} ", whole, re.MULTILINE) for name in names), whole
    assert re.search(rf"^part of +host db-9, {cause['id']}$", member, re.MULTILINE), member
    assert "It waits for “dump of causes” and 1 more, which are down" in why
    assert ([], "") == (bare["needs"], bare["host"])
