"""`heartfly check-config`: say what the settings are, or which one is wrong."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.config import sections


@click.command("check-config")
@CONFIG
@DATA
def check_config(config: Path | None, data: Path | None) -> None:
    """Check the configuration and print it as it will be used, secrets masked. Exit 1 names what is wrong."""
    settings = settings_from(config, DATA__DIR=data)
    for name, _ in sections():
        click.echo(f"[{name}]  {getattr(settings, name)!r}")
