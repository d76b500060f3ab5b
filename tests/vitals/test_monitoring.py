"""What Heartfly gives Prometheus and Grafana asks for figures that there are, under the labels that they have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from heartfly.cli import main

DOCS = (Path(__file__).resolve().parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}
TARGETS = {"instance", "job", "le"}
"""Labels that Prometheus and histograms have of their own."""


def printed(what: str) -> str:
    found = CliRunner().invoke(main, ["monitoring", what])
    assert 0 == found.exit_code, found.output
    return found.stdout


def documented() -> dict[str, set[str]]:
    """Series → its labels."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", DOCS, re.MULTILINE)
    return {f"{name}{suffix}": set(re.findall(r"`(\w+)`", labels)) | TARGETS
            for name, kind, labels in rows for suffix in SUFFIXES[kind]}  # fmt: skip


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(printed("rules"))["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed("dashboard"))
    return found


def expressions() -> list[str]:
    panels = dashboard()["panels"]
    return [rule["expr"] for rule in rules()] + [one["expr"] for panel in panels for one in panel.get("targets", ())]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_a_figure_of_the_docs_under_labels_that_it_has(expression: str) -> None:
    there = documented()
    series = re.findall(r"\b((?:heartfly|process)_\w+)(?:\{(.*?)\})?", expression)

    assert {name for name, _ in series} <= set(there)
    for name, selected in series:
        assert set(re.findall(r"(\w+)=~?\"", selected)) <= there[name]
    grouped = {label for by in re.findall(r"\bby \((.*?)\)", expression) for label in re.split(r",\s*", by)}
    assert grouped <= set.union(*(there[name] for name, _ in series))


def test_each_alert_stands_in_the_docs_and_says_how_bad_it_is() -> None:
    told = dict(re.findall(r"^\| `(Heartfly\w+)` \| .* \| (\w+) \|$", DOCS, re.MULTILINE))

    assert told == {rule["alert"]: rule["labels"]["severity"] for rule in rules()}
    assert all(rule["annotations"]["summary"] for rule in rules())


def test_who_is_to_be_woken_after_thirty_seconds_waits_for_no_more_than_that() -> None:
    found = {rule["alert"]: (rule["expr"], rule.get("for", "0s")) for rule in rules()}

    for alert in ("HeartflyJudgesLate", "HeartflyAlertsWait"):
        expression, waits = found[alert]
        assert re.search(r"_seconds(\{.*?\})? > 30\b", expression)
        assert "0s" == waits


def test_the_panels_of_the_dashboard_lie_beside_each_other_and_say_what_they_show() -> None:
    panels = dashboard()["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        assert panel["type"] == "row" or panel["description"]
        taken |= cells
    assert len(panels) == len({panel["id"] for panel in panels})
