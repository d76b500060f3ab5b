"""What every handler of the API may use: the database, the clock, and the settings. One value, wired by app.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heartfly.accounts.last_use import LastUse
from heartfly.accounts.turnstile import Turnstile
from heartfly.api.fragments import Fragments
from heartfly.clock import Clock
from heartfly.config import Settings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.instruments import Instruments
from heartfly.limits.checker import Checker
from heartfly.notify.channels.base import Reach
from heartfly.notify.letters import Letters
from heartfly.sealing import Sealer
from heartfly.usage.close_day import Closer
from heartfly.usage.ingest import EventIngest


@dataclass(frozen=True, slots=True)
class ApiState:
    database: Database
    usage: Database
    """The part that is usage (db/parts.py). No transaction spans both."""
    events: EventIngest
    checker: Checker
    """Of limits of calls."""
    closer: Closer
    clock: Clock
    ids: IdSource
    sealer: Sealer
    settings: Settings
    base_url: str
    """What every address that we hand out begins with; without a slash at the end."""
    last_use: LastUse
    letters: Letters
    """Mail to people about their accounts."""
    client_address: Callable[[Mapping[str, Any]], tuple[str, str]]
    """Of an ASGI scope, who asks: his address, "" if there is none, and the scheme."""
    instruments: Instruments = field(default_factory=Instruments)
    reach: Reach = field(default_factory=Reach)
    fragments: Fragments = field(default_factory=Fragments)
    trying: Turnstile = field(
        default_factory=lambda: Turnstile(
            at_once=2, waiting=8, again_s=5, busy="too many schedules are tried at this moment; try again"
        )
    )
    """Held by whoever judges a history once more: that takes a core for up to a second."""
    large_otlp: Turnstile = field(
        default_factory=lambda: Turnstile(
            at_once=1, waiting=8, again_s=5, busy="too many large requests wait at this moment; send it again"
        )
    )
    """Held by a large request of OTLP until it is answered: what it becomes takes a hundred times its size."""
    laying_out: Turnstile = field(
        default_factory=lambda: Turnstile(
            at_once=1, waiting=1, again_s=10, busy="another report is laid out at this moment; try again"
        )
    )
    """Held by who asks for a PDF with a link alone: the process beside, which also folds, is not his to fill."""
