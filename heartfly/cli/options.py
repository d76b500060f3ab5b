"""Options that several commands share, and how they become settings: flags win over variables, those over the file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from heartfly.config import Settings, load
from heartfly.errors import SettingsError

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


OPTIONS = {
    "SERVER__HOST": "--host",
    "SERVER__PORT": "--port",
    "SERVER__FD": "--fd",
    "SERVER__ROLES": "--roles",
    "DATA__DIR": "--data",
}
"""The options that are settings, by the variable that says the same."""


def settings_from(config: Path | None, **flags: object) -> Settings:
    """`flags` by variable name, such as SERVER__PORT; None: not given."""
    env = dict(os.environ)
    for name, value in flags.items():
        if value is not None:
            env[_variable(name)] = str(value)
    with told_by_option(**flags):
        return load(config, env)


@contextmanager
def told_by_option(**flags: object) -> Iterator[None]:
    """What is wrong with a setting is told with the option that it came from. `flags`: as for `settings_from`."""
    try:
        yield
    except SettingsError as error:
        said = str(error)
        name = said.partition(":")[0].partition("[")[0].upper().replace(".", "__")
        if flags.get(name) is None:
            raise
        text = said.removesuffix(f" (set by {_variable(name)})")
        raise SettingsError(f"{text} (given by {OPTIONS[name]})") from error


def _variable(name: str) -> str:
    return f"HEARTFLY_{name}"
