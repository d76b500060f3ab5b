"""`heartfly run …`: the one file that also runs without Heartfly, heartfly_run.py, with the same options."""

from __future__ import annotations

import rich_click as click

from heartfly.cli import heartfly_run


@click.command("run", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Run a job and tell Heartfly how it went: `heartfly run --check ADDRESS -- COMMAND`."""
    raise SystemExit(heartfly_run.main(arguments))
