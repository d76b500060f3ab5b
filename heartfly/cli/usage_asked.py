"""What commands about usage share: times on the hour, and an answer printed as it was asked for.

What may be asked, and how it is shown to a person, is each command's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import rich_click as click

from heartfly.cli.client import Client
from heartfly.cli.output import print_json, since_instant

_HOUR_S = 3_600


def answer_of(api: Client, path: str, given: Mapping[str, Any], *, as_csv: bool, as_json: bool) -> Any:
    """What the API says; None: it was printed, as it was asked for. Of `given`, what is None or () is left out."""
    query = urlencode({name: value for name, value in given.items() if value not in {None, ()}}, doseq=True)
    if as_csv:
        click.echo(api.text(f"{path}?{query}&format=csv"), nl=False)
        return None
    found = api.call("GET", f"{path}?{query}")
    if as_json:
        print_json(found)
        return None
    return found


def on_the_hour(text: str) -> str:
    """A span back ends on the hour: whole hours are summed up already."""
    found = since_instant(text)
    if found == text:
        return text
    at = datetime.fromisoformat(found).astimezone(UTC)
    return (at - timedelta(seconds=at.timestamp() % _HOUR_S)).replace(microsecond=0).isoformat()
