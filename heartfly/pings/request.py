"""One signal as it came through a door: what was asked, when it was received, and what came with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from heartfly.core.coverage import Span
from heartfly.core.words import PingKind


class ByUuid(msgspec.Struct, frozen=True, tag="uuid"):
    """The secret of a ping URL, lower-case with dashes."""

    ping_uuid: str


class BySlug(msgspec.Struct, frozen=True, tag="slug"):
    """A project's ping key, hashed at the door, and a check's slug in it. `create`: make it if there is none."""

    ping_key_hash: str
    slug: str
    create: bool = False


Target = ByUuid | BySlug


END_BYTES = 16 * 1024
OLDEST = timedelta(days=4)
"""So far back a signal may lie that could not be sent in time: what history says of runs goes no further."""


class FromMail(msgspec.Struct, frozen=True):
    """What keywords are looked for in, of a signal that came by mail."""

    subject: str
    text: str


class PingRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`received_at` is stamped at the door, before the body was read; `seq` counts within this process.

    Structs, as dataclasses that cannot be changed take ten times as long to make, and each ping makes three.
    """

    target: Target
    kind: PingKind
    received_at: datetime
    seq: int
    exit_status: int | None = None
    rid: str | None = None
    method: str = "GET"
    scheme: str = "http"
    remote: str = ""
    agent: str = ""
    body: bytes = b""
    """The first part, as bytes, which is kept; `body_size` is what was sent."""
    body_end: bytes = b""
    """Of a body that is longer than what is kept: its last END_BYTES, for the alert, figures and keywords."""
    body_size: int = 0
    host: str = ""
    """The machine that it came from, if it said so."""
    metrics: Mapping[str, Decimal] = msgspec.field(default_factory=dict)
    covers: Span | None = None
    """What the job says that it processed, if it said so in the query."""
    mail: FromMail | None = None
    client_at: datetime | None = None
    happened_at: datetime | None = None
    """Of one that could not be sent in time: when that was, and by when it is judged. Within OLDEST of its receipt."""
    took: timedelta | None = None
    """How long the run took that it ends, for which no start may have come. At most OLDEST."""
    node_id: int | None = None
    """The life of a process in which it was received and `seq` counts, if it lay in a spool; None: the present one."""
    stored_at: datetime | None = None
    """When it came out of the spool; None: it never lay in one, and is stored as it comes."""


class PingOutcome(StrEnum):
    OK = "ok"
    CREATED = "created"
    LIMITED = "limited"  # over the rate: applied, but an unchanged status left no row
    SPOOLED = "spooled"  # the database is away: on this node's disk, and applied later
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    FULL = "full"  # `create=1`, but the project has as many checks as it may
    TOO_MANY = "too_many"  # `create=1` more often than a project may


class PingResult(msgspec.Struct, frozen=True):
    """What became of it. Names and ids are for the log line; they are no secrets."""

    outcome: PingOutcome
    check_uuid: str = ""
    kind: PingKind | None = None
    flipped_to: str = ""
