"""`heartfly monitoring …`: files for the programs that watch Heartfly, as they come with it. What they ask for is
decided in vitals/monitoring/; which figures there are, in docs/metrics.md.
"""

from __future__ import annotations

from importlib.resources import files

import rich_click as click


@click.group("monitoring")
def monitoring_group() -> None:
    """Files for the programs that watch Heartfly: a dashboard, and what to be woken by."""


@monitoring_group.command("dashboard")
def dashboard() -> None:
    """Print a dashboard for Grafana: `heartfly monitoring dashboard > heartfly.json`, then import that file."""
    click.echo(_content("grafana.json"), nl=False)


@monitoring_group.command("rules")
def rules() -> None:
    """Print alerting rules for Prometheus: `heartfly monitoring rules > /etc/prometheus/heartfly.yml`."""
    click.echo(_content("alerts.yml"), nl=False)


def _content(name: str) -> str:
    return files("heartfly.vitals").joinpath("monitoring", name).read_text(encoding="utf-8")
