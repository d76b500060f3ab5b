"""`heartfly usage …`: what was used. A file a subject; here they come together."""

from __future__ import annotations

import rich_click as click

from heartfly.cli.usage_days import days, rerun
from heartfly.cli.usage_meters import meters_group
from heartfly.cli.usage_verify import verify


@click.group("usage")
def usage_group() -> None:
    """Usage: its days, whether they are proved, and to prove them anew."""


usage_group.add_command(days)
usage_group.add_command(rerun)
usage_group.add_command(verify)
usage_group.add_command(meters_group)
