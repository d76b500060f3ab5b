"""Lines of a log that is written just now, their import by the command, and what has come of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from heartfly.cli import main
from tests.sender.receiving import Receiver

Run = Callable[..., Result]
NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - lines of a log that is written just now


def line(n: int, *, at: datetime = NOW, path: str = "/users/17", status: int = 200) -> bytes:
    return (
        f'203.0.113.{n % 250} - ada [{at:%d/%b/%Y:%H:%M:%S +0000}] "GET {path} HTTP/1.1" {status} {n} "-" "curl"\n'
    ).encode()


def importing(receiver: Receiver) -> Run:
    def run(*words: str | Path, given: bytes = b"") -> Result:
        env = {"HEARTFLY_URL": receiver.url, "HEARTFLY_API_KEY": "hf_key"}
        return CliRunner().invoke(
            main, ["usage", "import-logs", *map(str, words)], env=env, input=given, prog_name="heartfly"
        )

    return run


def sent(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one) for one in receiver.known.values()]
