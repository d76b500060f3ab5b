"""CronJobs and workflows, out of YAML."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.schedule import Dialect, Kind
from heartfly.core.scheduled import manifests, workflows
from heartfly.core.scheduled.found import Found
from heartfly.core.scheduled.tell import container, step
from heartfly.core.yaml_text import documents

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
UUID = "0b7a3a4c-0b7a-4a4c-8b7a-0b7a3a4c0b7a"
ONE = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: billing}
spec:
  schedule: "30 2 * * *"
  timeZone: Europe/Berlin
  jobTemplate:
    spec:
      activeDeadlineSeconds: 900
      template:
        spec:
          containers:
            - name: main
              command: [/opt/bill, --all]
              env: [{name: BEAT, value: "https://x/ping/0b7a3a4c-0b7a-4a4c-8b7a-0b7a3a4c0b7a"}]
"""


def read(text: str) -> Found:
    return manifests.read(text, where="cron.yaml", zone="UTC", now=NOW)


def test_a_cronjob_is_read_whole() -> None:
    (job,) = read(ONE).jobs

    assert ("billing/nightly", "30 2 * * *", "Europe/Berlin", Dialect.KUBERNETES) == (
        job.title, job.times.expression, job.times.zone, job.times.dialect,
    )  # fmt: skip
    assert (timedelta(minutes=15), {UUID}, "/opt/bill --all", 1) == (
        job.max_run, set(job.pings), job.command, job.line,
    )  # fmt: skip


def test_documents_lists_and_other_kinds_are_looked_through() -> None:
    item = "{kind: CronJob, metadata: {name: %s}, spec: {schedule: '@hourly', suspend: %s}}"
    text = (
        "kind: Service\n---\n# nothing\n---\nkind: List\nitems:\n"
        f"  - {item % ('a', 'true')}\n  - kind: Deployment\n"
        f"---\nkind: CronJobList\nitems:\n  - metadata: {{name: b}}\n    spec: {{schedule: '@every 90m'}}\n"
    )
    a, b = read(text).jobs

    assert ("it is suspended", 7) == (a.off, a.line)
    assert (Kind.PERIOD, timedelta(minutes=90), 12) == (b.times.kind, b.times.period, b.line)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("'* * *'", "five fields"),
        ("null", "no schedule"),
        ("'@every soon'", "not between"),
        ("{a: 1}", "no schedule"),
        ("'CRON_TZ=Mars/X 0 3 * * *'", "is not a time zone"),
        ("'0 3 L * *'", "Kubernetes"),
    ],
)
def test_what_is_not_taken_is_told(schedule: str, why: str) -> None:
    found = read(f"kind: CronJob\nmetadata: {{name: x}}\nspec: {{schedule: {schedule}}}\n")
    assert ([], "x") == (list(found.jobs), found.left[0].text)
    assert why in found.left[0].why


def test_a_zone_before_the_schedule_holds() -> None:
    assert "Asia/Tokyo" == read("kind: CronJob\nspec: {schedule: 'TZ=Asia/Tokyo 0 3 * * *'}\n").jobs[0].times.zone


def test_no_yaml_is_told_with_its_line() -> None:
    assert ["line 2: 'a' stands here twice"] == [one.why for one in read("a: 1\na: 2\n").left]


WORKFLOW = """\
name: Nightly
on:
  push:
  schedule:
    - cron: "30 5 * * 1-5"
    - cron: "0 9 1 * *"
jobs: {}
"""


def test_each_cron_of_a_workflow_is_a_job_of_utc_with_room_for_githubs_lateness() -> None:
    found = workflows.read(WORKFLOW, where=".github/workflows/n.yml", now=NOW)

    assert [("Nightly", "30 5 * * 1-5", 5), ("Nightly", "0 9 1 * *", 6)] == [
        (one.title, one.times.expression, one.line) for one in found.jobs
    ]
    assert {("UTC", timedelta(minutes=90))} == {(one.times.zone, one.grace) for one in found.jobs}


def test_a_workflow_without_a_schedule_is_none_of_ours() -> None:
    for text in ("on: push\n", "on: [push]\n", "", "[]", "on: {schedule: x}"):
        assert Found([], []) == workflows.read(text, where="n.yml", now=NOW)
    found = workflows.read(
        "on: {schedule: [{cron: '* *'}, 7, {}, {cron: '0 3 * * *', timezone: X}]}", where="n.yml", now=NOW
    )
    assert (0, 4) == (len(found.jobs), len(found.left))


def test_what_is_printed_for_them_is_yaml_itself() -> None:
    (made,) = documents(container("https://x/ping/u", "/opt/a 'b: c'"))
    assert ["/bin/sh", "-c"] == made.value["command"]
    assert "/opt/a 'b: c' & job=$!\n" in made.value["args"][0]
    ((told,),) = (one.value for one in documents(step("https://x/ping/u", "0 3 * * *")))
    assert "always() && github.event.schedule == '0 3 * * *'" == told["if"]


@given(
    st.text(max_size=200), st.sampled_from(["kind: CronJob\n", "kind: List\nitems:\n- ", "on:\n  schedule:\n  - ", ""])
)
def test_any_text_is_read(text: str, before: str) -> None:
    for found in (read(before + text), workflows.read(before + text, where="x", now=NOW)):
        assert all(one.why for one in found.left)
