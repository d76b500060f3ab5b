"""What lies in the spools of this data directory: pings that were answered and are not in the database.

Read only, whoever serves. Of a node that lives it is told how much; of one that does not, that nobody brings it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from heartfly.core.spans import span
from heartfly.doctor.finding import Finding, ok, warning
from heartfly.pings.spool_file import ENDING, FOLDER, REFUSED, SpoolFile

_NAME = "spool"


def look(data_dir: Path, now: datetime) -> Sequence[Finding]:
    """Empty: there has never been one here."""
    folder = data_dir / FOLDER
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if path.suffix in {ENDING, REFUSED})
    found = [finding for path in paths if (finding := _of(path, now)) is not None]
    return found or [ok(_NAME, f"no ping waits in {folder}")]


def _of(path: Path, now: datetime) -> Finding | None:
    try:
        file = SpoolFile.look(path)
    except FileNotFoundError:
        return None  # it has just been brought back
    except (OSError, msgspec.DecodeError) as error:
        return warning(
            _NAME, f"{path} cannot be read ({error})", "Keep it, and see who may read it and what its disk does."
        )
    try:
        is_held = file.is_held()
        received = [one.request.received_at for piece in file.pieces() for one in piece.records]
    except (OSError, msgspec.DecodeError) as error:
        return warning(
            _NAME, f"{path} cannot be read ({error})", "A newer Heartfly may have written it: start that one."
        )
    finally:
        file.close()
    if not received:
        return None
    told = f"{len(received)} pings, the oldest from {span(now - min(received))} ago"
    if path.suffix == REFUSED:
        return warning(
            _NAME, f"{told}, which the database did not take, lie in {path}",
            "The log tells why (spool_refused). Remove the file when nobody needs it.",
        )  # fmt: skip
    if is_held:
        return warning(
            _NAME,
            f"{told}, are in the spool of a node that serves",
            "It brings them back as soon as PostgreSQL answers.",
        )
    return warning(
        _NAME, f"{told}, lie in {path}, and nobody brings them back",
        f"Run `heartfly serve` on this directory, with the database of the instance {file.instance}.",
    )  # fmt: skip
