"""`heartfly usage …`: events and what they come to. A file a subject; here they come together."""

from __future__ import annotations

from collections.abc import Mapping

import rich_click as click

from heartfly.cli.lazy import Lazy

_COMMANDS: Mapping[str, str] = {
    "put": "heartfly.cli.usage_send:put",
    "send": "heartfly.cli.usage_send:send",
    "requeue": "heartfly.cli.usage_send:requeue_command",
    "heartbeat": "heartfly.cli.usage_send:heartbeat_command",
    "import-logs": "heartfly.cli.usage_logs:import_logs",
    "events": "heartfly.cli.usage_events:events_group",
    "customers": "heartfly.cli.usage_events:customers_group",
    "dead-letters": "heartfly.cli.usage_events:letters_group",
    "void": "heartfly.cli.usage_corrections:void",
    "amend": "heartfly.cli.usage_corrections:amend",
    "undo": "heartfly.cli.usage_corrections:undo",
    "backfill": "heartfly.cli.usage_corrections:backfill_group",
    "meters": "heartfly.cli.usage_meters:meters_group",
    "costs": "heartfly.cli.usage_costs:costs",
    "forecast": "heartfly.cli.usage_costs:forecast",
    "unpriced": "heartfly.cli.usage_costs:unpriced",
    "calls": "heartfly.cli.usage_costs:calls",
    "paths": "heartfly.cli.usage_paths:paths",
    "days": "heartfly.cli.usage_days:days",
    "sources": "heartfly.cli.usage_sources:sources_group",
    "watches": "heartfly.cli.usage_watches:watches_group",
    "rerun": "heartfly.cli.usage_days:rerun",
    "report": "heartfly.cli.usage_report:report",
    "reports": "heartfly.cli.usage_report:reports_group",
    "top": "heartfly.cli.usage_top:top_group",
    "verify": "heartfly.cli.usage_verify:verify",
}


@click.group("usage", cls=Lazy, commands_at=_COMMANDS)
def usage_group() -> None:
    """Usage: send its events and lose none, say whose they are, meter them, and have their days proved."""
