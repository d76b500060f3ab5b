"""`heartfly plan`, `apply` and `export`: a project as a file, against a real server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.cli.as_code.commands import schema_text
from heartfly.cli.as_code.file import WrongFile, read
from heartfly.cli.as_code.words import alarm_lines
from heartfly.core.yaml_text import documents
from tests.cli.conftest import Run, ok

ROOT = Path(__file__).resolve().parent.parent.parent
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
WHOLE = """\
version: 1
managed_by: team-a
project: {zone: Europe/Berlin}
channels:
  ops: {kind: email, config: {to: ops@example.com, digest: daily}, events: [check.down, check.up],
    policy: {tags: [db], least: high, after: 15m, every: 1h, title: "$STATUS: $NAME", words: {check.up: {text: back}}}}
  hook: {kind: webhook, config: {url: "https://example.com/${HOOK_KEY}", headers: {X-Plain: "$${NAME}"}}}
meters:
  requests: {name: Requests, unit: requests, event_types: [http.request], group_keys: [region]}
  bytes:
    event_types: [http.request]
    aggregation: sum
    value: size
    filters: [{property: region, any_of: [us, eu]}]
checks:
  nightly:
    name: Nightly backup
    schedule: {cron: "30 2 * * *", zone: Europe/Berlin}
    grace: 10m
    max_run: 1h30m
    tags: [db]
    gates: ["rows > 0", "errors == 0 warn"]
    tolerance: {failures: 3, recover: 2}
    bounds: ["run >= 1m", "start within 5m"]
    filters: {failure: [ERROR]}
    channels: [ops]
  timers: {schedule: {oncalendar: [daily, "Mon 12:00"]}, channels: ["*"], host: k8s-1, needs: [tidy]}
  beat: {schedule: {period: 90s}, grace: 60}
  pods: {schedule: {cron: "@hourly", dialect: kubernetes}, sticky: true, methods: POST, slo: {on_time: 99.50, days: 7}}
  tidy: {schedule: {period: 1h}, needs: []}
alert_rules:
  Errors: {severity: high, by: [provider], cooldown: 2h, channels: [ops],
    conditions: [{of: calls, metric: error_rate, window: 1h, threshold: 10, least: 20, where: {tag: [prod]}}]}
  Bytes: {conditions: [{of: meter, metric: value, name: bytes, window: 3600, threshold: "1000"}]}
budgets:
  AI models: {currency: USD, amount: 500, thresholds: [50, 90], scope: {provider: [openai]}, channels: [ops],
    allocations: [{by: model, name: m-1, amount: 100}], spike: {percent: 200, least: 10}}
"""
ENV = {"HOOK_KEY": "s3cret-path"}


class Project:
    """A file, and the commands with it."""

    def __init__(self, run: Run, path: Path) -> None:
        self.run, self.path = run, path
        path.write_text(WHOLE)

    def say(self, text: str) -> None:
        self.path.write_text(text)

    def told(self, command: str, *options: str, env: dict[str, str] = ENV, status: int = 0) -> Any:
        done = self.run(command, "-f", str(self.path), *options, "--json", env=env)
        assert status == done.exit_code, done.output
        return json.loads(done.stdout)

    def changes(self, *options: str, env: dict[str, str] = ENV) -> list[tuple[str, str, str, list[str]]]:
        found = self.told("plan", *options, env=env)["changes"]
        return [
            (one["action"], one["section"], one["name"], [field["field"] for field in one["fields"]]) for one in found
        ]

    def words(self, command: str, *options: str, env: dict[str, str] = ENV) -> str:
        done = self.run(command, "-f", str(self.path), *options, env=env)
        return f"{done.exit_code} {done.output}"


@pytest.fixture
def project(run: Run, tmp_path: Path) -> Project:
    made = Project(run, tmp_path / "heartfly.yaml")
    made.told("apply", "--yes")
    return made


def test_what_a_file_says_is_made_and_then_it_changes_nothing(run: Run, project: Project) -> None:
    assert [] == project.changes()
    assert "0 All is as the file says.\n" == project.words("apply", "--yes")
    check = json.loads(ok(run("checks", "show", "nightly", "--json")))
    assert ("Nightly backup", "30 2 * * *", 600, 5400, ["db", "managed:team-a"], 2, 1) == (
        check["name"], check["schedule"]["expression"], check["grace"], check["max_run"], check["tags"],
        len(check["gates"]), len(check["channels"]),
    )  # fmt: skip
    beat = json.loads(ok(run("checks", "show", "beat", "--json")))
    assert ("beat", 90, ["managed:team-a"], 2) == (
        beat["name"], beat["schedule"]["period"], beat["tags"], len(beat["channels"]),
    )  # fmt: skip


def test_needs_are_set_when_all_checks_are_there_and_may_change_places(run: Run, project: Project) -> None:
    def needs(slug: str) -> list[str]:
        found = json.loads(ok(run("checks", "show", slug, "--json")))["needs"]
        return sorted(json.loads(ok(run("checks", "show", one, "--json")))["slug"] for one in found)

    assert ["tidy"] == needs("timers")
    turned = WHOLE.replace(", needs: [tidy]", ", needs: []").replace(
        "tidy: {schedule: {period: 1h}, needs: []}", "tidy: {schedule: {period: 1h}, needs: [timers]}"
    )
    project.say(turned)
    assert [("change", "checks", "timers", ["needs"]), ("change", "checks", "tidy", ["needs"])] == project.changes()
    project.told("apply", "--yes")
    assert ([], ["timers"]) == (needs("timers"), needs("tidy"))
    assert [] == project.changes()


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ("needs: [nobody]", "there is no check nobody"),
        ("needs: [timers]", "that is a circle: tidy needs timers needs tidy"),
        ("needs: tidy", "must be a list of slugs of checks"),
    ],
)
def test_needs_that_cannot_be_are_told_with_their_line(project: Project, needs: str, said: str) -> None:
    asked = f"tidy: {{schedule: {{period: 1h}}, {needs}}}"
    project.say(WHOLE.replace("tidy: {schedule: {period: 1h}, needs: []}", asked))

    told = project.words("plan")
    assert said in told
    assert "checks.tidy.needs" in told


def test_what_is_written_down_of_a_project_changes_nothing_in_it(run: Run, project: Project, tmp_path: Path) -> None:
    ok(
        run(
            "checks",
            "create",
            "By hand: on, ünïcode",
            "--cron",
            "0 3 * * 1",
            "--zone",
            "Asia/Tokyo",
            "--gate",
            "rows within 20% of median(same weekday, 4 weeks)",
        )
    )
    ok(run("alert-rules", "defaults"))
    again = Project(run, tmp_path / "again.yaml")
    again.path.unlink()
    ok(run("export", "-f", str(again.path)))
    text = again.path.read_text()

    assert "s3cret" not in text
    assert "${CHANNEL_HOOK_URL}" in text
    assert "cron: 30 2 * * *" in text
    whole = documents(text)[0].value
    policy = {"tags": ["db"], "least": "high", "after": "15m", "every": "1h", "title": "$STATUS: $NAME"}
    assert policy | {"words": {"check.up": {"text": "back"}}} == whole["channels"]["ops"]["policy"]
    assert {"on_time": "99.5", "success": None, "days": 7} == whole["checks"]["pods"]["slo"]
    assert (3, ["run >= 1m", "start within 5m"]) == (
        whole["checks"]["nightly"]["tolerance"]["failures"], whole["checks"]["nightly"]["bounds"],
    )  # fmt: skip
    assert {"policy", "tolerance", "bounds"}.isdisjoint({**whole["channels"]["hook"], **whole["checks"]["beat"]})
    assert [] == again.changes(env={})
    assert 1 == run("export", "-f", str(again.path)).exit_code  # it overwrites nothing
    assert text == ok(run("export"))
    (document,) = documents(text)
    jsonschema_rs.validator_for(json.loads(schema_text())).validate(document.value)
    assert {"version", "checks"} == set(documents(ok(run("export", "--only", "checks")))[0].value)


def test_changes_are_told_field_by_field_with_what_they_mean_for_the_past(run: Run, project: Project) -> None:
    check = json.loads(ok(run("checks", "show", "beat", "--json")))
    import urllib.request  # noqa: PLC0415 - for this ping alone

    urllib.request.urlopen(check["ping_url"], data=b"").close()
    project.say(
        WHOLE.replace("period: 90s", "period: 2h")
        .replace("amount: 500", "amount: 600")
        .replace("by: [provider]", "by: [model]")
    )
    assert [
        ("change", "checks", "beat", ["schedule"]), ("change", "alert_rules", "Errors", ["by"]),
        ("change", "budgets", "AI models", ["amount"]),
    ] == project.changes()  # fmt: skip
    words = project.words("plan")
    assert "    schedule: every 1 min 30 s → every 2 h\n" in words
    assert "    amount: 500 → 600\n" in words
    assert "    on its 1 ping since 20" in words
    assert "3 to change." in words
    assert words.startswith("0 ")
    assert project.words("plan", "--exit-code").startswith("3 ")
    assert "budget AI models changed" in project.words("apply", "--yes")
    assert [] == project.changes()
    assert "s3cret" not in words


def test_alarms_that_would_be_gone_or_new_stand_below_a_change_with_their_incidents() -> None:
    at = [f"2026-03-02T0{n}:10:00Z" for n in range(7)]
    lost = [{"at": one, "ended_at": None, "reason": "exit_status", "incident": f"id-{n}"} for n, one in enumerate(at)]
    added = [{"at": at[0], "ended_at": None, "reason": "missed", "incident": None}]

    assert [
        *(f"- {at[n]} exit status, incident id-{n}" for n in range(5)), "- and 2 more; --json tells all",
        f"+ {at[0]} missed",
    ] == alarm_lines({"lost": lost, "added": added})  # fmt: skip
    assert [] == alarm_lines({"error": "the server is busy"})


def test_what_is_not_named_stays_and_a_person_may_set_it(run: Run, project: Project) -> None:
    ok(run("checks", "edit", "beat", "--description", "by hand", "--tag", "own", "--tag", "managed:team-a"))
    assert [] == project.changes()
    ok(run("checks", "edit", "beat", "--tag", "own"))  # the mark is gone: it comes back, beside what is there
    assert [("change", "checks", "beat", ["tags"])] == project.changes()
    project.told("apply", "--yes")
    assert ["own", "managed:team-a"] == json.loads(ok(run("checks", "show", "beat", "--json")))["tags"]


def test_nothing_is_deleted_unless_it_is_asked_for_and_then_not_much(run: Run, project: Project) -> None:
    ok(run("checks", "create", "Not of the file"))
    fewer = "".join(part for part in WHOLE.splitlines(keepends=True) if not part.startswith("  beat:"))
    project.say(fewer)
    assert [] == project.changes()
    assert [("delete", "checks", "beat", [])] == project.changes("--prune")
    assert "- check beat" in project.words("plan", "--prune")

    none = (
        fewer.replace("\n  nightly:", "\n  nightly-2:")
        .replace("  timers:", "  timers-2:")
        .replace("  pods:", "  pods-2:")
    )
    project.say(none)
    refused = project.words("apply", "--prune", "--yes")
    assert refused.startswith("1 ")
    assert "4 of checks would be deleted, more than a quarter: nothing was done" in refused
    assert 0 == run("checks", "show", "nightly").exit_code
    project.say(WHOLE.replace("managed_by: team-a\n", ""))
    # An error stands in a frame, whose lines break where a long name of a file wants it.
    refused = " ".join(project.words("plan", "--prune").replace("│", " ").split())
    assert "say `managed_by: NAME`" in refused

    project.say(
        fewer.partition("meters:")[0]
        + "meters: {requests: {event_types: [http.request], group_keys: [region]}}\nchecks:"
        + fewer.partition("checks:")[2]
    )
    done = project.words("apply", "--prune", "--yes")
    assert "meter bytes archived" in done
    assert "check beat deleted" in done
    assert 0 == run("checks", "show", "not-of-the-file").exit_code
    assert [] == project.changes("--prune")


def test_secrets_come_from_variables_and_are_needed_only_when_they_are_sent(project: Project) -> None:
    assert [] == project.changes(env={})
    assert ["config"] == project.changes("--secrets")[-1][3]
    assert "needs the variable HOOK_KEY, which is not set" in project.words("plan", "--secrets", env={})
    project.say(WHOLE.replace("X-Plain", "X-Other"))
    assert [("change", "channels", "hook", ["config"])] == project.changes()
    assert "heartfly.yaml:7: channels.hook.config: needs the variable HOOK_KEY" in project.words("plan", env={})
    project.told("apply", "--yes")
    assert [] == project.changes()
    project.told("apply", "--yes", "--secrets")
    project.say(
        WHOLE.replace(
            "ops: {kind: email, config: {to: ops@example.com, digest: daily}",
            "ops: {kind: slack, config: {url: https://example.com/x}",
        )
    )
    assert "channels.ops.kind: stays email" in project.words("plan")


def test_a_meter_that_counts_differently_gets_a_version(run: Run, project: Project) -> None:
    ok(run("usage", "meters", "archive", "requests"))
    assert [("change", "meters", "requests", ["archived"])] == project.changes()
    project.say(WHOLE.replace("any_of: [us, eu]", "any_of: [us]").replace("name: Requests", "name: All requests"))
    assert [
        ("change", "meters", "requests", ["name", "archived"]),
        ("change", "meters", "bytes", ["filters"]),
    ] == project.changes()
    project.told("apply", "--yes")
    assert [] == project.changes()
    assert 2 == len(json.loads(ok(run("usage", "meters", "show", "bytes", "--json")))["versions"])


@pytest.mark.parametrize(
    ("replaced", "by", "line", "said"),
    [
        ("version: 1", "version: 2", 1, "version: must be 1"),
        ("project:", "projects:", 3, "projects: is not known here; did you mean project?"),
        ("zone: Europe/Berlin}\nchannels", "zone: Mars}\nchannels", 3, "project.zone: 'Mars' is not a time zone"),
        ("zone: Europe/Berlin}\nchannels", "create_by_ping: maybe}\nchannels", 3, "create_by_ping: must be true or"),
        ("kind: email", "kind: pigeon", 5, "channels.ops.kind: must be one of"),
        ("to: ops@example.com", "to: ops", 5, "channels.ops.config.to: "),
        ("least: high", "least: huge", 6, "channels.ops.policy.least: must be one of"),
        ("after: 15m", "after: 5s", 6, "channels.ops.policy.after: must be 60 to"),
        ("every: 1h", "evry: 1h", 6, "channels.ops.policy.evry: is not known here; did you mean every?"),
        ("check.up: {text: back}", "check.gone: {text: back}", 6, "channels.ops.policy.words.check.gone: is none of"),
        ("check.up: {text: back}", "check.up: {txt: back}", 6, "channels.ops.policy.words.check.up.txt: is none of"),
        ("check.up: {text: back}", "check.up: back", 6, "channels.ops.policy.words: must be a mapping"),
        ("on_time: 99.50", "on_time: 199.5", 29, "checks.pods.slo.on_time: must be more than 0"),
        ("failures: 3", "failures: 99", 23, "checks.nightly.tolerance"),
        ("run >= 1m", "run >> 1m", 24, "checks.nightly.bounds"),
        ("events: [check.down", "events: [check.gone", 5, "channels.ops.events: must be a list of"),
        ("aggregation: sum", "aggregation: add", 12, "meters.bytes.aggregation: "),
        ('cron: "30 2 * * *"', 'cron: "61 2 * * *"', 18, "checks.nightly.schedule.expression: "),
        ("grace: 10m", "grace: soon", 19, "checks.nightly.grace: must be seconds, or a duration"),
        ("rows > 0", "rows >> 0", 22, "checks.nightly.gates[0]: "),
        ("    tags: [db]", "    tagz: [db]", 21, "checks.nightly.tagz: is not known here; did you mean tags?"),
        ("period: 90s", "perod: 90s", 28, "checks.beat.schedule.perod: is not known here; did you mean period?"),
        ('cron: "@hourly"', "crn: daily", 29, "checks.pods.schedule.crn: is not known here; did you mean cron?"),
        ("zone: Europe/Berlin}\n    grace", "tz: UTC}\n    grace", 18,
         "checks.nightly.schedule.tz: is not known here; known are cron"),
        ("on_time: 99.50", "ontime: 99.50", 29, "checks.pods.slo.ontime: is not known here; did you mean on_time?"),
        ("period: 90s", "period: 90s, cron: '* * * * *'", 28, "beat.schedule.period: must not stand beside cron"),
        ("channels: [ops]\n  timers", "channels: [nobody]\n  timers", 26, "channels: there is no channel nobody"),
        ("sticky: true", "sticky: maybe", 29, "checks.pods.sticky: expected `bool`, got `str`"),
        ("metric: error_rate", "metric: weather", 33, "alert_rules.Errors.conditions[0].metric: "),
        ("severity: high", "severity: big", 32, "alert_rules.Errors.severity: must be one of"),
        ("thresholds: [50, 90]", "thresholds: [900000]", 36, "budgets.AI models.thresholds"),
        ("  beat: {", "  nightly: {", 28, "'nightly' stands here twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_path_and_line(
    run: Run, tmp_path: Path, replaced: str, by: str, line: int, said: str
) -> None:
    path = tmp_path / "heartfly.yaml"
    assert replaced in WHOLE
    path.write_text(WHOLE.replace(replaced, by))
    done = run("plan", "-f", str(path), env=ENV)

    assert 1 == done.exit_code
    assert f"heartfly.yaml:{line}: " in done.output
    assert said in done.output.replace("\n", " ")


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(WrongFile) as caught:
        read(
            WHOLE.replace("grace: 10m", "grace: x").replace("severity: high", "severity: x"), name="f", now=NOW, env={}
        )
    assert ["checks.nightly.grace", "alert_rules.Errors.severity"] == [path for path, _, _ in caught.value.wrong]


@given(
    st.text(max_size=100), st.sampled_from(["version: 1\n", "version: 1\nchecks:\n  a: ", "version: 1\nchannels: ", ""])
)
def test_any_file_is_read_or_refused(text: str, before: str) -> None:
    try:
        found = read(before + text, name="f", now=NOW, env={})
    except WrongFile:
        return
    assert found.document is not None


def test_what_cannot_be_done_is_said(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    assert "there is no such file" in run("plan", "-f", str(path)).output
    path.write_bytes(b"\xff\xfe")
    assert "it is no UTF-8 at byte 0" in run("plan", "-f", str(path)).output
    path.write_text("- 1")
    assert "must be one mapping" in run("plan", "-f", str(path)).output
    path.write_text("version: 1\nchecks: {only-here: {}}\n")
    assert "--json asks nothing" in run("apply", "-f", str(path), "--json").output
    asked = run("apply", "-f", str(path), input="n\n")
    assert (1, True) == (asked.exit_code, "Do it?" in asked.output)
    assert 1 == run("checks", "show", "only-here").exit_code


def test_a_change_that_is_refused_says_what_was_done(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"version: 1\nchecks:\n  first-one: {{}}\n  second-one: {{tags: [x]}}\n{'  third-one: {}'}\n")
    ok(run("apply", "-f", str(path), "--yes"))
    read_key = json.loads(ok(run("keys", "create", "reader", "--scope", "read", "--json")))["secret"]
    path.write_text("version: 1\nchecks:\n  first-one: {grace: 7m}\n")
    refused = run("apply", "-f", str(path), "--yes", "--no-backtest", "--key", read_key)
    assert 1 == refused.exit_code
    assert "checks.first-one: " in refused.output
    assert "0 changes of 1 done" in refused.output


def test_the_schema_that_is_published_is_the_one_that_holds(run: Run) -> None:
    assert (ROOT / "docs/heartfly.schema.json").read_text() == schema_text()
    assert json.loads(schema_text()) == json.loads(ok(run("plan", "--schema")))
    (document,) = documents(WHOLE)
    validator = jsonschema_rs.validator_for(json.loads(schema_text()))
    validator.validate(document.value)
    for wrong in ({}, {"version": 1, "check": {}}, {"version": 1, "checks": {"a": {"graze": 1}}}):
        assert not validator.is_valid(wrong)
