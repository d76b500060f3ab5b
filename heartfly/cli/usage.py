"""`heartfly usage …`: events and what they come to. A file a subject; here they come together."""

from __future__ import annotations

import rich_click as click

from heartfly.cli.usage_days import days, rerun
from heartfly.cli.usage_events import customers_group, events_group, letters_group
from heartfly.cli.usage_meters import meters_group
from heartfly.cli.usage_send import heartbeat_command, put, requeue_command, send
from heartfly.cli.usage_verify import verify


@click.group("usage")
def usage_group() -> None:
    """Usage: send its events and lose none, say whose they are, meter them, and have their days proved."""


_EVENTS = (put, send, requeue_command, heartbeat_command, events_group, customers_group, letters_group)
for _command in (*_EVENTS, meters_group, days, rerun, verify):
    usage_group.add_command(_command)
