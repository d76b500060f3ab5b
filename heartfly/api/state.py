"""What every handler of the API may use: the database, the clock, and the settings. One value, wired by app.py."""

from __future__ import annotations

from dataclasses import dataclass

from heartfly.clock import Clock
from heartfly.config import Settings
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.sealing import Sealer


@dataclass(frozen=True, slots=True)
class ApiState:
    database: Database
    clock: Clock
    ids: IdSource
    sealer: Sealer
    settings: Settings
    base_url: str
    """What every address that we hand out begins with; without a slash at the end."""
