"""Commands that are imported when called: `heartfly checks list` must not wait for a web server."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, cast

import rich_click as click
from typing_extensions import override


class Lazy(click.RichGroup):
    """`commands_at`: name → where it is, as `heartfly.cli.checks:checks_group`, in the order of the list."""

    def __init__(self, *args: Any, commands_at: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_at = commands_at

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._commands_at)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._commands_at:
            return None
        module, _, name = self._commands_at[cmd_name].partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), name))
