"""`heartfly check-config`: say what the settings are, or which one is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

from heartfly.cli.options import CONFIG, DATA, settings_from
from heartfly.cli.output import AS_JSON
from heartfly.config import sections


@click.command("check-config")
@AS_JSON
@CONFIG
@DATA
def check_config(*, as_json: bool, config: Path | None, data: Path | None) -> None:
    """Check the configuration and print it as a file would say it, secrets masked. Exit 1 names what is wrong."""
    settings = settings_from(config, DATA__DIR=data)
    shown = {name: getattr(settings, name).shown() for name, _ in sections()}
    if as_json:
        click.echo(json.dumps(shown, indent=2, default=str, ensure_ascii=False))
    else:
        click.echo("\n\n".join(f"[{name}]\n{_toml(section)}" for name, section in shown.items()))


def _toml(shown: dict[str, object]) -> str:
    """In the words of the file. Strings, numbers, truths and lists are written alike in JSON and TOML."""
    return "\n".join(f"{name} = {json.dumps(value, default=str, ensure_ascii=False)}" for name, value in shown.items())
