"""The command line: all commands by name, and how their errors are told."""

from __future__ import annotations

from collections.abc import Mapping

import rich_click as click
from typing_extensions import override

from heartfly import __version__
from heartfly.cli.lazy import Lazy
from heartfly.errors import HeartflyError

_COMMANDS: Mapping[str, str] = {
    "serve": "heartfly.cli.serve:serve",
    "init": "heartfly.cli.init:init",
    "migrate": "heartfly.cli.migrate:migrate",
    "check-config": "heartfly.cli.check_config:check_config",
    "checks": "heartfly.cli.check_past:checks_group",
    "channels": "heartfly.cli.channels:channels_group",
    "incidents": "heartfly.cli.incidents:incidents_group",
    "silences": "heartfly.cli.silences:silences_group",
    "alert-rules": "heartfly.cli.alert_rules:alert_rules_group",
    "alerts": "heartfly.cli.alerts:alerts_group",
    "notifications": "heartfly.cli.notifications:notifications_group",
    "audit": "heartfly.cli.audit:audit_group",
    "keys": "heartfly.cli.keys:keys_group",
    "project": "heartfly.cli.project:project_group",
    "members": "heartfly.cli.members:members_group",
    "invites": "heartfly.cli.invites:invites_group",
    "user": "heartfly.cli.user:user_group",
    "jobs": "heartfly.cli.jobs:jobs_group",
    "budgets": "heartfly.cli.budgets:budgets_group",
    "usage": "heartfly.cli.usage:usage_group",
    "run": "heartfly.cli.run:run",
    "import": "heartfly.cli.imports:import_group",
    "drift": "heartfly.cli.drift:drift",
    "plan": "heartfly.cli.as_code.commands:plan",
    "apply": "heartfly.cli.as_code.commands:apply",
    "export": "heartfly.cli.as_code.commands:export",
    "limits": "heartfly.cli.limits:limits_group",
    "next": "heartfly.cli.next:next_command",
    "backup": "heartfly.cli.backup:backup",
    "restore": "heartfly.cli.restore:restore",
    "doctor": "heartfly.cli.doctor:doctor",
    "watch": "heartfly.cli.watch:watch",
    "monitoring": "heartfly.cli.monitoring:monitoring_group",
    "move": "heartfly.cli.move:move_command",
    "rotate-key": "heartfly.cli.rotate_key:rotate_key",
}


class _Heartfly(Lazy):
    @override
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HeartflyError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.strerror is None or error.filename is None:
                raise
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error


@click.group(cls=_Heartfly, commands_at=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="heartfly")
def main() -> None:
    """Tells you when a scheduled job goes silent, fails, hangs, or runs and produces wrong data."""
