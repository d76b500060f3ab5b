"""What machines read: every command prints JSON when it is asked to, and figures in it are as they were sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from heartfly.cli import main
from heartfly.db.migrate import HEAD
from tests.cli.conftest import Run, ok
from tests.cli.test_usage_events_cli import event

IS_NO_ANSWER = {"serve", "project export", "run", "monitoring dashboard", "monitoring rules"}
"""A server, a file of NDJSON, a job, whose output is its own, and files for other programs."""


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from leaves(found, (*path, name))
    else:
        yield " ".join(path), command


def test_every_command_prints_json_when_it_is_asked_to() -> None:
    without = {name for name, one in leaves(main) if not any("--json" in option.opts for option in one.params)}

    assert IS_NO_ANSWER == without


def test_the_configuration_and_the_schema_are_read_by_machines(run: Run, tmp_path: Path) -> None:
    elsewhere = {"HEARTFLY_DATA__DIR": str(tmp_path), "HEARTFLY_MAIL__PASSWORD": "hunter2hunter2"}
    elsewhere |= {
        "HEARTFLY_MAIL__HOST": "mx",
        "HEARTFLY_MAIL__FROM_ADDRESS": "a@example.com",
        "HEARTFLY_MAIL__USERNAME": "u",
    }
    said = ok(run("check-config", "--json", env=elsewhere))

    assert "mx" == json.loads(said)["mail"]["host"]
    assert "hunter2" not in said
    assert {"schema": HEAD} == json.loads(ok(run("migrate", "--json", env=elsewhere)))


def test_users_are_made_and_deleted_by_machines(run: Run, tmp_path: Path) -> None:
    there = {"HEARTFLY_DATA__DIR": str(tmp_path)}
    ok(
        run(
            "init",
            "--email",
            "a@example.com",
            "--project",
            "acme",
            "--password-stdin",
            input="correct horse battery\n",
            env=there,
        )
    )

    def user(*arguments: str, typed: str = "") -> object:
        return json.loads(ok(run("user", *arguments, "--email", "b@example.com", "--json", input=typed, env=there)))

    assert {"email": "b@example.com", "admin": False} == user("create", "--password-stdin", typed="another long one\n")
    for words in (("reset", "--password-stdin"), ("delete", "--yes")):
        assert {"email": "b@example.com"} == user(*words, typed="yet another one\n")


def test_what_goes_is_shown_once_more(run: Run) -> None:
    check = json.loads(ok(run("checks", "create", "Short-lived", "--period", "1h", "--json")))
    key = json.loads(ok(run("keys", "create", "short-lived", "--scope", "read", "--json")))
    invite = json.loads(ok(run("invites", "create", "z@example.com", "--role", "viewer", "--json")))

    assert check["id"] == json.loads(ok(run("checks", "delete", "short-lived", "--yes", "--json")))["id"]
    assert key["id"] == json.loads(ok(run("keys", "revoke", "short-lived", "--yes", "--json")))["id"]
    assert invite["id"] == json.loads(ok(run("invites", "revoke", "z@example.com", "--json")))["id"]


def test_sources_of_events_are_listed_and_retired(run: Run) -> None:
    assert [] == json.loads(ok(run("usage", "sources", "list", "--json")))
    assert "No source is known" in ok(run("usage", "sources", "list"))
    logged = (
        event("json-source", "acct-source")
        .replace('"call"', '"http.request"')
        .replace('{"n"', '{"source": "web-1", "n"')
    )
    ok(run("usage", "events", "send", "-", input=logged))

    (one,) = json.loads(ok(run("usage", "sources", "list", "--json")))
    assert ("web-1", None) == (one["name"], one["retired_at"])
    assert "live" in ok(run("usage", "sources", "list"))
    assert json.loads(ok(run("usage", "sources", "retire", "web-1", "--json")))["retired_at"]
    assert "web-1 is retired" in ok(run("usage", "sources", "retire", "web-1"))
    assert "retired by" in ok(run("usage", "sources", "list"))
    assert 1 == run("usage", "sources", "retire", "none").exit_code


def test_watches_of_data_are_made_listed_edited_and_deleted(run: Run) -> None:
    assert [] == json.loads(ok(run("usage", "watches", "list", "--json")))
    assert "Nothing is watched" in ok(run("usage", "watches", "list"))
    made = json.loads(ok(run("usage", "watches", "create", "source", "web-1", "--gap", "600", "--json")))
    assert ("web-1", 600, 20) == (made["what"], made["gap_s"], made["factor"])
    assert "watches endpoint *" in ok(run("usage", "watches", "create", "endpoint"))
    assert 1 == run("usage", "watches", "create", "source", "web-1").exit_code

    assert 30 == json.loads(ok(run("usage", "watches", "edit", made["id"], "--factor", "30", "--json")))["factor"]
    assert "least 40, gap 600 s" in ok(run("usage", "watches", "edit", made["id"], "--least", "40"))
    assert "web-1" in ok(run("usage", "watches", "list"))
    assert {"id": made["id"], "deleted": True} == json.loads(
        ok(run("usage", "watches", "delete", made["id"], "--json"))
    )
    (other,) = json.loads(ok(run("usage", "watches", "list", "--json")))
    assert "is deleted, with its check" in ok(run("usage", "watches", "delete", other["id"]))


def test_alert_rules_are_made_listed_shown_changed_tried_and_deleted(run: Run) -> None:
    assert [] == json.loads(ok(run("alert-rules", "list", "--json")))
    assert "There are no alert rules" in ok(run("alert-rules", "list"))
    asked = ("--metric", "error_rate", "--threshold", "10", "--least", "20", "--by", "provider", "--where", "tag=prod")
    made = json.loads(ok(run("alert-rules", "create", "Errors", *asked, "--cooldown", "2h", "--json")))
    assert ("Errors", ["provider"], 7200, {"tag": ["prod"]}) == (
        made["name"], made["by"], made["cooldown"], made["conditions"][0]["where"],
    )  # fmt: skip
    cost = ("--metric", "cost", "--what", "USD", "--window", "1d", "--against", "burn", "--threshold", "1.5")
    assert "fires when cost of calls in 1 d" in ok(run("alert-rules", "create", "Spend", *cost))
    assert 1 == run("alert-rules", "create", "Bad", "--metric", "weather", "--threshold", "1").exit_code
    assert 2 == run("alert-rules", "create", "Bad", *asked, "--where", "prod").exit_code

    assert "error rate of calls in 1 h more than 10 %" in ok(run("alert-rules", "list"))
    assert made["id"] == json.loads(ok(run("alert-rules", "show", "Errors", "--json")))["id"]
    assert "for each" in ok(run("alert-rules", "show", made["id"]))
    changes = ("--threshold", "20", "--window", "30m", "--severity", "high", "--disable", "--by", "model")
    changed = json.loads(ok(run("alert-rules", "edit", "Errors", *changes, "--json")))
    assert ("high", False, ["model"], 7200) == tuple(changed[k] for k in ("severity", "enabled", "by", "cooldown"))
    assert ("20", 1800, 20, {"tag": ["prod"]}) == tuple(
        changed["conditions"][0][name] for name in ("threshold", "window", "least", "where")
    )
    assert "more than 10 %" in ok(run("alert-rules", "edit", "Errors", "--enable", "--threshold", "10", "--by", "tag"))
    assert 2 == run("alert-rules", "edit", "Errors").exit_code
    assert 1 == run("alert-rules", "edit", "Errors", "--by", "weather").exit_code
    assert [] == json.loads(ok(run("alert-rules", "test", "Errors", "--json")))["fired"]
    assert "It would not have fired." in ok(run("alert-rules", "test", "Errors"))
    assert 5 == len(json.loads(ok(run("alert-rules", "defaults", "--json"))))
    assert "They are all there." in ok(run("alert-rules", "defaults"))
    assert "Not known: of limits" in ok(run("alert-rules", "test", "Rate limit at 80 %"))
    assert {"id": made["id"], "deleted": True} == json.loads(ok(run("alert-rules", "delete", "Errors", "--json")))
    assert 1 == run("alert-rules", "show", "Errors").exit_code
    for rule in json.loads(ok(run("alert-rules", "list", "--json"))):
        assert "is deleted" in ok(run("alert-rules", "delete", rule["id"]))


def test_alerts_that_are_none_are_listed_and_can_neither_be_acknowledged_nor_resolved(run: Run) -> None:
    assert [] == json.loads(ok(run("alerts", "list", "--json")))
    assert 0 == json.loads(ok(run("alerts", "statistics", "--json")))["total"]
    assert "There are no alerts." in ok(run("alerts", "statistics"))
    assert "No alert is like that." in ok(run("alerts", "statistics", "--severity", "high", "--since", "7d"))
    assert "There are no alerts." in ok(run("alerts", "list"))
    assert "No alert is like that." in ok(run("alerts", "list", "--state", "firing", "--since", "7d"))
    none = "00000000-0000-4000-8000-000000000000"
    assert 1 == run("alerts", "ack", none).exit_code
    assert 1 == run("alerts", "resolve", none, "--note", "x").exit_code


def test_events_are_read_by_machines_with_their_figures_as_they_were_sent(run: Run) -> None:
    sent = f"[{event('json-1', 'acct-json', figure='0.12345678901234567890')}, 7]"
    told = run("usage", "events", "send", "-", "--json", input=sent)
    listed = ok(run("usage", "events", "list", "--customer-id", "acct-json", "--json"))

    assert (1, 1, 1) == (told.exit_code, *(json.loads(told.stdout)[name] for name in ("accepted", "rejected")))
    assert '{"n":0.12345678901234567890}' in listed
    assert ["json-1"] == [one["transaction_id"] for one in json.loads(listed)]
    assert [] == json.loads(ok(run("usage", "events", "list", "--type", "none", "--json")))
    assert '"json-1"' in ok(run("usage", "events", "show", "json-1", "--json"))
    letters = json.loads(ok(run("usage", "dead-letters", "list", "--json")))
    assert {"accepted": 0, "rejected": len(letters)}.items() <= json.loads(
        ok(run("usage", "dead-letters", "replay", "--all", "--json"))
    ).items()
    assert letters[0]["id"] == json.loads(ok(run("usage", "dead-letters", "drop", letters[0]["id"], "--json")))["id"]


def test_corrections_are_read_by_machines(run: Run) -> None:
    ok(run("usage", "events", "send", "-", input=event("json-3", "acct-json", figure="0.10")))
    named, why = ("usage", "void", "json-3"), ("--reason", "a test", "--json")

    assert '"json-3"' in ok(run(*named, *why))
    assert '"json-3"' in ok(run("usage", "undo", "json-3", "--json"))
    amended = ok(run("usage", "amend", "json-3", "--properties", '{"n": 0.20}', *why))
    assert "0.20" in amended
    assert "amend" in {one["kind"] for one in json.loads(amended)["corrections"]}


def test_a_meter_is_archived_and_counts_again(run: Run) -> None:
    ok(run("usage", "meters", "create", "json-calls", "--type", "call"))

    assert json.loads(ok(run("usage", "meters", "archive", "json-calls", "--json")))["archived_at"]
    assert json.loads(ok(run("usage", "meters", "unarchive", "json-calls", "--json")))["archived_at"] is None
    assert "json-calls counts again." in ok(run("usage", "meters", "unarchive", "json-calls"))


def test_a_queue_is_filled_by_machines(run: Run, tmp_path: Path) -> None:
    queue = ("--queue", str(tmp_path / "queue"), "--json")
    filled = run("usage", "put", "-", *queue, input=event("json-2", "acct") + "\nnone\n")

    assert (3, {"queued": 1, "set_aside": 1}) == (filled.exit_code, json.loads(filled.stdout))
    again = run("usage", "requeue", *queue)
    assert (3, {"moved": 0, "kept": 1, "no_room": 0}) == (again.exit_code, json.loads(again.stdout))


def test_rules_for_paths_are_read_foreseen_and_changed(run: Run, tmp_path: Path) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("/json/{name}\n", encoding="utf-8")

    assert [] == json.loads(ok(run("usage", "paths", "--json")))["lines"]
    assert 0 == json.loads(ok(run("usage", "paths", str(rules), "--json")))["requests_changed"]
    assert ["/json/{name}"] == json.loads(ok(run("usage", "paths", str(rules), "--yes", "--json")))["lines"]
    assert "/json/{name}" in ok(run("usage", "paths"))
    assert "line 1: " in run("usage", "paths", "-", input="a b c").stderr
    assert "These rules hold" in ok(run("usage", "paths", "-", "--yes", input=""))
    assert "No rules" in ok(run("usage", "paths"))


@pytest.mark.parametrize("words", [("checks", "delete", "none"), ("usage", "dead-letters", "drop", "none")])
def test_an_error_is_no_answer(run: Run, words: tuple[str, ...]) -> None:
    refused = run(*words, "--json")

    assert (1, "") == (refused.exit_code, refused.stdout)
    assert "Error" in refused.stderr


def test_silences_are_made_listed_ended_and_deleted(run: Run) -> None:
    assert "There are no silences" in ok(run("silences", "list"))
    made = json.loads(
        ok(
            run(
                "silences",
                "create",
                "maintenance",
                "--tag",
                "db",
                "--for",
                "2h",
                "--note",
                "move",
                "--ignore",
                "--json",
            )
        )
    )
    assert ("tag", ["db"], "ignore", "in_force") == (made["scope"], made["targets"], made["effect"], made["state"])
    assert "db" in ok(run("silences", "list"))
    longer = json.loads(ok(run("silences", "edit", made["id"], "--for", "3h", "--note", "moved", "--json")))
    assert (made["id"], "moved", ["db"]) == (longer["id"], longer["note"], longer["targets"])
    assert ": all, " in ok(run("silences", "edit", made["id"], "--all", "--effect", "hold"))
    assert 2 == run("silences", "edit", made["id"]).exit_code
    assert 2 == run("silences", "edit", made["id"], "--all", "--tag", "x").exit_code
    assert "It has ended" in ok(run("silences", "end", made["id"]))
    again = json.loads(ok(run("silences", "create", "quiet", "--cron", "0 22 * * *", "--for", "9h", "--json")))
    assert (32_400, "critical") == (again["lasts"], again["below"])
    assert "is deleted" in ok(run("silences", "delete", again["id"]))
    assert [] == json.loads(ok(run("silences", "list", "--state", "living", "--json")))
    assert 2 == run("silences", "create", "mute", "--tag", "a", "--check", "b", "--for", "1h").exit_code

    ok(run("checks", "create", "snoozed"))
    assert "snoozed is snoozed until" in ok(run("silences", "snooze", "snoozed", "--for", "30m"))
    assert "snooze" == json.loads(ok(run("silences", "snooze", "snoozed", "--next-run", "--json")))["kind"]
    listed = ok(run("silences", "list"))
    assert "check snoozed" in listed
    ok(run("checks", "delete", "snoozed", "--yes"))
    assert "(deleted)" in ok(run("silences", "list"))


def test_what_a_channel_is_for_is_said_and_tried(run: Run) -> None:
    ok(run("channels", "create", "webhook", "--name", "policed", "--url", "https://hooks.example.com/x"))
    said = json.loads(
        ok(run("channels", "policy", "policed", "--tag", "db", "--after", "15m", "--every", "1h", "--json"))
    )
    assert (["db"], 900, 3600) == tuple(said["policy"][name] for name in ("tags", "after", "every"))
    assert "every 1 h" in ok(run("channels", "policy", "policed", "--every", "1h"))
    assert "policed: every 1 h\n" == ok(run("channels", "policy", "policed"))  # looked at, it stays
    assert "policed: every 1 h\n" == ok(run("channels", "policy", "policed"))
    assert 2 == run("channels", "policy", "policed", "--everything", "--every", "1h").exit_code
    assert "policed: everything\n" == ok(run("channels", "policy", "policed", "--everything"))
    assert "down nightly-backup" in ok(run("channels", "preview", "policed", "--title", "$STATUS $NAME"))
