"""What sending is made of: a channel that asks for work, and the deliveries that it is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A channel that could send up to `room` deliveries now."""

    pid: int
    channel_id: int
    room: int
    due: bool
    """It has deliveries that must be looked at again."""
    fresh: bool
    """It has notifications that no delivery carries yet."""
    folds: bool
    """It reaches people: what one source has waiting is one message, and a storm is folded."""
    most_named: int = 1
    spacing: timedelta = timedelta()
    """Messages that are planned together go out so far apart."""
    in_hand: Collection[str] = ()
    """Deliveries that this process is sending: its own lease on them never ends, whatever the clock says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    id: int
    uuid: str
    kind: str
    config_enc: bytes
    rev: int
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this process may send until its lease ends."""

    id: str
    pid: int
    channel: ChannelRow
    attempt: int
    possible_duplicate: bool
    created_at: datetime
    attempts_before: int = 0
    """Tries that count no more: since them somebody had it sent again."""
