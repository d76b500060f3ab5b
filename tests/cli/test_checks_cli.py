"""`heartfly checks …` against a real server: what people type, what they are shown, how scripts read it."""

from __future__ import annotations

import http.client
import json
import re
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from heartfly.cli.output import DURATION, seconds, when
from heartfly.clock import SystemClock
from tests.cli.conftest import Run, ok
from tests.server_process import Server, free_port

pytestmark = pytest.mark.e2e


def test_a_check_whose_first_ping_is_wanted_says_by_when(run: Run) -> None:
    said = ok(run("checks", "create", "Wanted", "--first-ping-by", "2h"))
    check = json.loads(ok(run("checks", "show", "wanted", "--json")))
    shown = ok(run("checks", "show", "wanted"))
    why = ok(run("checks", "explain", "wanted"))
    refused = run("checks", "create", "Late", "--first-ping-by", "2020-01-01T00:00:00Z")

    by = check["first_ping_by"]
    assert timedelta(hours=1, minutes=58) < datetime.fromisoformat(by) - SystemClock().now() < timedelta(hours=2)
    assert f"Its first ping is wanted by {by}: without one it goes down." in said
    assert re.search(rf"^first ping by +{re.escape(by)}$", shown, re.MULTILINE), shown
    assert "its first ping is wanted by" in why
    assert (1, True) == (refused.exit_code, "--first-ping-by: must lie ahead" in refused.output), refused.output
    assert "is not a duration" in run("checks", "create", "Late", "--first-ping-by", "soon").output


def test_a_check_is_edited_and_what_is_not_named_stays(run: Run) -> None:
    ok(run("checks", "create", "Edited", "--period", "1h", "--grace", "5m", "--tag", "old"))
    said = ok(run("checks", "edit", "edited", "--grace", "30m", "--first-ping-by", "2h"))
    check = json.loads(ok(run("checks", "show", "edited", "--json")))

    assert "Edited: expected every hour, grace 30 min." in said
    assert f"Its first ping is wanted by {check['first_ping_by']}: without one it goes down." in said
    assert (3600, 1800, ["old"]) == (check["schedule"]["period"], check["grace"], check["tags"])
    never = json.loads(ok(run("checks", "edit", "edited", "--first-ping-by", "never", "--tag", "new", "--json")))
    assert (None, 1800, ["new"]) == (never["first_ping_by"], never["grace"], never["tags"])


def test_what_is_tolerated_and_bounded_is_said_in_a_line_and_shown(run: Run) -> None:
    ok(run("checks", "create", "Calm", "--tolerate", "3 in a row, 50% of 10, up after 2", "--bound", "run >= 1m"))
    check = json.loads(ok(run("checks", "show", "calm", "--json")))
    shown = ok(run("checks", "show", "calm"))

    assert {"failures": 3, "share": 50, "last": 10, "recover": 2} == check["tolerance"]
    assert re.search(r"^tolerance +after 3 in a row or 50% of the last 10, up after 2$", shown, re.MULTILINE), shown
    assert re.search(r"^bounds +run >= 1m$", shown, re.MULTILINE), shown
    plain = json.loads(ok(run("checks", "edit", "calm", "--tolerate", "nothing", "--bound", "none", "--json")))
    assert (None, []) == (plain["tolerance"], plain["bounds"])


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 2, "Say what to change"),
        (["--tolerate", "a lot"], 2, "must look like 3 in a row"),
        (["--tolerate", "99 in a row"], 1, "tolerance.failures: must be 1 to 20"),
        (["--bound", "run <= 1m"], 1, "bounds[0]: must look like run >= 1m"),
        (["--first-ping-by", "soon"], 2, "is not a duration"),
        (["--first-ping-by", "2020-01-01T00:00:00Z"], 1, "--first-ping-by: must lie ahead"),
        (["--cron", "* * * * *", "--period", "1h"], 2, "Only one of"),
        (["--cron", "61 * * * *"], 1, "schedule.expression"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_in_words(run: Run, options: list[str], status: int, words: str) -> None:
    run("checks", "create", "Refused", "--slug", "refused")
    result = run("checks", "edit", "refused", *options)

    assert (status, True) == (result.exit_code, words in result.output), result.output


def test_a_new_check_is_shown_with_the_line_for_its_crontab(run: Run) -> None:
    said = ok(
        run("checks", "create", "Nightly backup", "--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--grace", "10m")
    )

    line = re.search(
        r"^    (30 2 \* \* \* /path/to/job && curl -fsS -m 10 --retry 5 -o /dev/null (\S+))$", said, re.MULTILINE
    )
    assert "Nightly backup: expected at 02:30 (Europe/Berlin), grace 10 min." in said
    assert line is not None, said
    with urllib.request.urlopen(line[2]) as reply:
        assert b"OK" == reply.read()
    assert line[1] in ok(run("checks", "show", "nightly-backup"))


def test_every_option_reaches_the_check(run: Run) -> None:
    made = json.loads(
        ok(
            run(
                "checks", "create", "Everything", "--period", "1h30m", "--grace", "90", "--max-run", "2m",
                "--slug", "all", "--tag", "a", "--tag", "b", "--description", "why", "--json",
            )
        )
    )  # fmt: skip

    assert ("period", 5400, 90, 120, "all", ["a", "b"], "why") == (
        made["schedule"]["kind"],
        made["schedule"]["period"],
        made["grace"],
        made["max_run"],
        made["slug"],
        made["tags"],
        made["description"],
    )


def test_a_check_is_made_like_another_one(run: Run) -> None:
    ok(run("checks", "create", "original", "--period", "1h30m", "--tag", "a"))

    said = ok(run("checks", "copy", "original", "The other"))
    made = json.loads(ok(run("checks", "copy", "original", "A third", "--json")))

    assert "The other is made like original, with the slug the-other." in said
    assert "/path/to/job && curl " in said
    assert ("a-third", 5400, ["a"]) == (made["slug"], made["schedule"]["period"], made["tags"])


def test_a_check_gets_a_new_address_while_its_job_pings(run: Run) -> None:
    old = json.loads(ok(run("checks", "create", "moved", "--json")))["ping_url"]

    said = ok(run("checks", "rotate-ping-url", "moved", "--overlap", "1h"))
    urllib.request.urlopen(old).close()
    at_once = ok(run("checks", "rotate-ping-url", "moved", "--overlap", "0s"))
    new = json.loads(ok(run("checks", "show", "moved", "--json")))

    assert old not in said
    assert "The old address ends in " in said
    assert new["ping_url"] in at_once
    assert "does not work any more" in at_once
    assert 1 == new["n_pings"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(old)


def test_calendars_of_systemd_are_checks_too(run: Run) -> None:
    said = ok(run("checks", "create", "Weekdays", "--oncalendar", "Mon..Fri 02:30", "--zone", "UTC"))

    assert "Mon..Fri 02:30" in said
    assert "\n    /path/to/job && curl " in said


def test_lists_are_for_people_and_for_machines(run: Run) -> None:
    ok(run("checks", "create", "listed", "--period", "1h", "--tag", "only-this"))

    table = ok(run("checks", "list", "--tag", "only-this"))
    machine = json.loads(ok(run("checks", "list", "--tag", "only-this", "--status", "new", "--json")))

    assert ["STATUS", "NAME", "SLUG", "SCHEDULE"] == table.splitlines()[0].split()[:4]
    assert re.search(r"^new +listed +listed +every hour +- +-", table, re.MULTILINE)
    assert ["listed"] == [check["slug"] for check in machine]
    assert "No check is like that." in ok(run("checks", "list", "--search", "not-there"))


def test_a_check_is_shown_with_its_last_runs_and_flips(run: Run) -> None:
    made = json.loads(ok(run("checks", "create", "shown", "--period", "1h", "--json")))
    for action, body in (("/start", b""), ("", b"rows=12"), ("/3", b"")):
        urllib.request.urlopen(made["ping_url"] + action, data=body).close()

    said = ok(run("checks", "show", "shown"))
    machine = json.loads(ok(run("checks", "show", made["id"], "--json")))

    assert re.search(r"^status +down$", said, re.MULTILINE)
    assert re.search(r"^ok .* rows=12 *$", said, re.MULTILINE)
    assert re.search(r"^up +down +exit_status", said, re.MULTILINE)
    assert (["failed", "ok"], ["down", "up"]) == (
        [run["outcome"] for run in machine["runs"]],
        [flip["to_status"] for flip in machine["flips"]],
    )


def test_a_check_explains_itself_to_people_and_to_machines(run: Run) -> None:
    made = json.loads(ok(run("checks", "create", "why", "--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--json")))
    for action in ("", "/start", "/3"):
        urllib.request.urlopen(made["ping_url"] + action, data=b"").close()
    urllib.request.urlopen(made["ping_url"] + "/start", data=b"").close()

    said = ok(run("checks", "explain", "why"))
    machine = json.loads(ok(run("checks", "explain", made["id"], "--json")))

    assert said.startswith("why is down.\n  It is down since ")
    assert "The job ended with exit status 3. It stays down until its next success." in said
    assert re.search(r"^dialect +cron$", said, re.MULTILINE)
    assert re.search(r"^slot +-$", said, re.MULTILINE)
    assert re.search(r"^run +\S+, hung at \S+$", said, re.MULTILINE)
    assert re.search(rf"^incident +{machine['incident']}$", said, re.MULTILINE)
    assert ("down", 1) == (machine["status"], len(machine["runs"]))


def test_gates_are_given_as_they_are_read_and_coverage_is_shown(run: Run) -> None:
    lines = ("rejected / events < 1% warn", "events within 40% of median(4 weeks)", "coverage unbroken")
    given = [part for line in lines for part in ("--gate", line)]
    made = json.loads(ok(run("checks", "create", "Daily", *given, "--json")))
    path = ("checks", "coverage", "daily")
    empty = ok(run(*path))
    for begins, ends in (("01", "02"), ("03", "04")):
        query = f"from=2026-03-{begins}T00:00:00Z&to=2026-03-{ends}T00:00:00Z&metric=events:9&metric=rejected:0"
        urllib.request.urlopen(f"{made['ping_url']}?{query}", data=b"").close()
    said, machine = run(*path), run(*path, "--json")
    why = ok(run("checks", "explain", "daily"))
    shown = ok(run("checks", "show", "daily"))
    refused = run("checks", "edit", "daily", "--gate", "rows < 15m")

    assert empty == "Daily: covered until no time at all.\n"
    assert said.output.startswith("Daily: covered until 2026-03-04T00:00:00Z.\n")
    assert re.search(r"^missing +2026-03-02T00:00:00Z +2026-03-03T00:00:00Z$", said.output, re.MULTILINE)
    assert (1, 1, 1) == (said.exit_code, machine.exit_code, len(json.loads(machine.output)["gaps"]))
    assert re.search(r"^coverage +until 2026-03-04T00:00:00Z; 1 gap$", shown, re.MULTILINE), shown
    assert re.search(r"^gate +rejected / events < 1% \(warn\)$", why, re.MULTILINE)
    assert re.search(r"^gate +events within 40% of median\(4 weeks\) \(fail\)$", why, re.MULTILINE)
    assert re.search(r"^gate +coverage unbroken \(fail, broken\)$", why, re.MULTILINE)
    assert "'rows < 15m' value must be without a unit of time" in refused.output


def test_gates_are_shown_added_and_taken_away_each_by_itself(run: Run) -> None:
    """An edit that named one gate once took all the others away without a word."""
    ok(run("checks", "create", "Gated", "--gate", "rows > 0", "--gate", "bad / rows < 1% warn"))
    added = ok(run("checks", "edit", "gated", "--gate", "duration < 15m warn", "--gate", "rows > 0 warn"))
    shown = ok(run("checks", "show", "gated"))
    machine = json.loads(ok(run("checks", "show", "gated", "--json")))
    wrong = run("checks", "edit", "gated", "--no-gate", "errors")
    fewer = ok(run("checks", "edit", "gated", "--no-gate", "bad/rows", "--no-gate", "rows>0"))
    replaced = ok(run("checks", "edit", "gated", "--no-gate", "all", "--gate", "rows > 9"))
    none = ok(run("checks", "edit", "gated", "--no-gate", "rows"))

    assert "Gate added: duration < 15m (warn)\nGate added: rows > 0 (warn)\n" in added
    assert "Gate removed: rows > 0 (fail)\n1 gate as before: bad / rows < 1% (warn)\n" in added
    gates = r"^gates +bad / rows < 1% \(warn\)\n +duration < 15m \(warn\)\n +rows > 0 \(warn\)$"
    assert re.search(gates, shown, re.MULTILINE), shown
    assert ["bad", "duration", "rows"] == [gate["metric"] for gate in machine["gates"]]
    assert (None, []) == (machine["coverage"]["covered_until"], machine["coverage"]["gaps"])
    assert (2, True) == (wrong.exit_code, "has no gate errors. It has: bad / rows < 1%" in wrong.output), wrong.output
    assert "1 gate as before: duration < 15m (warn)" in fewer
    assert "Gate added: rows > 9 (fail)\nGate removed: duration < 15m (warn)\n" in replaced
    assert "Gate removed: rows > 9 (fail)\n" in none


@pytest.mark.parametrize("changes", [1, 1_000])
def test_gates_that_somebody_else_adds_meanwhile_stay(run: Run, server: Server, changes: int) -> None:
    """All of them are sent together: what was read before somebody else's edit would take his away."""
    made = json.loads(ok(run("checks", "create", f"Shared {changes}", "--gate", "rows > 0", "--json")))
    key = (server.folder / "heartfly-data" / "cli-key").read_text().strip()
    left, path = [f"theirs_{n} > 0" for n in range(changes)], f"/v1/checks/{made['id']}"

    class Front(BaseHTTPRequestHandler):
        """Hands on, and edits the check whenever somebody has just read it."""

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            given = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request(self.command, self.path, body, given)
            reply = connection.getresponse()
            said = reply.read()
            connection.close()
            if (self.command, self.path) == ("GET", path) and left:
                gates = server.api("GET", path, key)["gates"][:3]
                server.api("PATCH", path, key, {"gates": [*gates, left.pop()]})
            self.send_response(reply.status)
            self.send_header("ETag", reply.getheader("ETag", ""))
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def do_PATCH(self) -> None:
            self.do_GET()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Front) as front:
        thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{front.server_port}"
        result = run("checks", "edit", made["slug"], "--gate", "mine > 0", env={"HEARTFLY_URL": url})
        front.shutdown()
        thread.join(60)

    names = [gate["metric"] for gate in server.api("GET", path, key)["gates"]]
    if changes == 1:
        assert (0, ["rows", "theirs_0", "mine"]) == (result.exit_code, names), result.output
        assert "2 gates as before" in result.output
    else:
        assert (1, True) == (result.exit_code, "The check changes all the time" in result.output), result.output
        assert "mine" not in names


def test_a_check_that_is_new_explains_that(run: Run) -> None:
    ok(run("checks", "create", "fresh", "--period", "1h"))

    said = ok(run("checks", "explain", "fresh"))

    assert "It is new: nothing is expected until its first success." in said
    assert re.search(r"^newest ping +-$", said, re.MULTILINE)
    assert "There is no check with the slug or id nothing" in run("checks", "explain", "nothing").output


def test_a_check_is_paused_resumed_and_deleted_by_its_slug_or_id(run: Run) -> None:
    made = json.loads(ok(run("checks", "create", "short life", "--json")))

    assert "is paused" in ok(run("checks", "pause", "short-life"))
    assert "new" == json.loads(ok(run("checks", "resume", made["id"], "--json")))["status"]
    again = run("checks", "resume", "short-life")
    unsure = run("checks", "delete", "short-life", input="n\n")
    assert "short-life" in ok(run("checks", "list"))
    sure = run("checks", "delete", "short-life", input="y\n")
    gone = run("checks", "delete", "short-life", "--yes")

    assert (1, True) == (again.exit_code, "The check is not paused." in again.output)
    assert (1, 0, 1) == (unsure.exit_code, sure.exit_code, gone.exit_code)
    assert "There is no check with the slug or id short-life" in gone.output


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["create", "x", "--cron", "61 * * * *"], 1, "schedule.expression: minute: '61' is not between 0 and 59"),
        (["create", "x", "--cron", "* * * * *", "--zone", "Mars"], 1, "--zone: "),
        (["create", "x", "--period", "1h", "--cron", "* * * * *"], 2, "Only one of --period, --cron"),
        (["create", "x", "--zone", "UTC"], 2, "--zone goes with --cron or --oncalendar"),
        (["create", "x", "--grace", "soon"], 2, "'soon' is not a duration such as 90s, 10m, 2h or 1d"),
        (["create", "x", "--channel", "nowhere"], 1, "There is no channel nowhere"),
        (["create", "a\nb"], 1, "name: must be one line"),
        (["create"], 2, "Missing argument 'NAME'"),
        (["show", "../channels"], 1, "There is no check with the slug or id ../channels"),
        (["show", "no/../where?x#y"], 1, "There is no check with the slug or id no/../where?x#y"),
        (["show", "two words"], 1, "There is no check with the slug or id two words"),
        (["list", "--status", "sideways"], 2, "sideways"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(run: Run, arguments: list[str], status: int, words: str) -> None:
    result = run("checks", *arguments)

    assert (status, True) == (result.exit_code, words in result.output), result.output
    assert "Traceback" not in result.output


def test_a_server_that_does_not_run_is_named_with_how_to_start_it(run: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    result = run("checks", "list", "--url", url)

    assert 1 == result.exit_code
    assert f"Nothing answers at {url}. Start it with `heartfly serve`" in result.output


def test_a_key_that_is_wrong_or_missing_is_asked_for(run: Run, tmp_path: Path) -> None:
    wrong = run("checks", "list", "--key", "hf_wrong")
    nowhere = run("checks", "list", env={"HEARTFLY_DATA__DIR": str(tmp_path)})
    by_variable = run("checks", "list", env={"HEARTFLY_DATA__DIR": str(tmp_path), "HEARTFLY_API_KEY": "hf_wrong"})

    assert (1, 2, 1) == (wrong.exit_code, nowhere.exit_code, by_variable.exit_code)
    assert "does not know this key" in wrong.output
    assert str(tmp_path / "cli-key") in nowhere.output
    assert "hf_wrong" not in wrong.output + by_variable.output


def test_what_is_no_heartfly_is_said(run: Run, server: Server) -> None:
    strange = run("checks", "list", "--url", f"{server.url}/ping")
    nonsense = run("checks", "list", "--url", "localhost:8000")

    assert (1, True) == (strange.exit_code, "is not Heartfly" in strange.output), strange.output
    assert (2, True) == (nonsense.exit_code, "--url must be http" in nonsense.output)


def test_names_cannot_steer_the_terminal(run: Run) -> None:
    refused = run("checks", "create", "bidi \u202e name", "--slug", "bidi")

    assert (1, True) == (refused.exit_code, "name: must not hold characters that reorder" in refused.output)
    assert "\u202e" not in refused.output + ok(run("checks", "list"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1H 5 s", 3605),
    ],
)
def test_durations_are_written_as_people_do(text: str, expected: int) -> None:
    assert expected == DURATION.convert(text, None, None)


def test_times_are_told_from_now() -> None:
    now = datetime(2026, 3, 2, 10, tzinfo=UTC)
    told = [
        when(instant, now=now)
        for instant in (None, "2026-03-02T10:00:00.5Z", "2026-03-02T09:00:00Z", "2026-03-03T10:05:00Z")
    ]

    assert ["-", "now", "1 h ago", "in 1 d 5 min"] == told
    assert ["-", "0.25 s", "2 min 5 s", "0 s"] == [seconds(value) for value in (None, 0.25, 125.4, 0)]
