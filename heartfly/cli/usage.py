"""`heartfly usage …`: events and what they come to. Each command is in a file of its own."""

from __future__ import annotations

import rich_click as click

from heartfly.cli.usage_send import heartbeat_command, put, send


@click.group("usage")
def usage_group() -> None:
    """Usage events: send them, and lose none."""


usage_group.add_command(put)
usage_group.add_command(send)
usage_group.add_command(heartbeat_command)
