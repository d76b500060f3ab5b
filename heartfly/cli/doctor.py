"""`heartfly doctor`: what is not as it should be, and what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click
from click.exceptions import Exit
from rich.text import Text

from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import print_json, print_table
from heartfly.clock import SystemClock
from heartfly.doctor.examine import examine
from heartfly.doctor.finding import Level, worst
from heartfly.notify.mail_server import mail_settings

_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings for machines.")
@CONFIG
@DATA
def doctor(*, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Look at what Heartfly stands on: disk, clock, database, mail. Changes and sends nothing. Exit 1: an error."""
    settings = settings_from(config, DATA__DIR=data)
    findings = asyncio.run(examine(settings, mail_settings=mail_settings(settings), clock=SystemClock()))
    level = worst(findings)
    if as_json:
        listed = [{"name": f.name, "level": f.level, "found": f.found, "advice": f.advice} for f in findings]
        print_json({"level": level, "findings": listed})
    else:
        rows = [(Text(f.level, style=_STYLES[f.level]), f.name, f.found) for f in findings]
        print_table(("", "WHAT", "FOUND"), rows)
        for finding in findings:
            if finding.advice:
                click.echo(f"\n{finding.name}: {finding.advice}")
    if level is Level.ERROR:
        raise Exit(1)
