"""Options that several commands share, and how they become settings: flags win over variables, those over the file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from heartfly.config import Settings, load

F = TypeVar("F", bound=Callable[..., Any])

CONFIG = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="HEARTFLY_CONFIG",
    help="A TOML file; see config.example.toml.",
)
DATA = click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Where everything lives. [./heartfly-data]"
)


PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input (else you are asked)."
)


def password_from(*, stdin: bool) -> str:
    """The first line of standard input, or what is typed at the prompt and not shown."""
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return asked


def settings_from(config: Path | None, **flags: object) -> Settings:
    """`flags` by variable name, such as SERVER__PORT; None: not given."""
    env = dict(os.environ)
    for name, value in flags.items():
        if value is not None:
            env[f"HEARTFLY_{name}"] = str(value)
    return load(config, env)
