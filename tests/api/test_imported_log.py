"""A real access log, imported: figures of meters over it equal what Python makes of its lines, and twice is once, also
if it came by column first and then line by line.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heartfly.cli.log_files import Lines
from heartfly.cli.log_import import Import
from heartfly.cli.log_sending import Ready
from heartfly.core.access.as_event import Shape
from heartfly.core.access.request_columns import RequestColumns
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.usage.folder import Folder
from heartfly.usage.hands import Hands
from tests.api.door import House
from tests.one_database import on_sqlite
from tests.sim_clock import SimClock

pytestmark = [pytest.mark.anyio, on_sqlite]

LOG = gzip.decompress((Path(__file__).resolve().parents[1] / "data" / "access-combined-10k.log.gz").read_bytes())
NOW = datetime(2015, 5, 21, 12, tzinfo=UTC)
METER = {
    "slug": "traffic", "name": "Traffic", "unit": "B", "event_types": ["http.request"], "aggregation": "sum",
    "value": "response_bytes", "group_keys": ["path", "status"],
}  # fmt: skip
"""One for all: how many events count in a group is told beside what they add up to."""


class Truth:
    """Of the lines, with nothing of ours: split at blanks and quotes, added up in dictionaries."""

    def __init__(self, log: str) -> None:
        self.requests: Counter[tuple[str, ...]] = Counter()
        self.bytes: Counter[tuple[str, ...]] = Counter()
        self.errors = 0
        for line in log.splitlines():
            asked, after = line.split('"')[1:3]
            status, size = after.split()
            at = datetime.strptime(line.split("[")[1].split("]")[0], "%d/%b/%Y:%H:%M:%S %z")
            path = re.split("[?#]", asked.split(" ")[1])[0][:256]  # so much of a group key tells groups apart
            self.errors += status[0] in "45"
            for key in ((path, status), (at.astimezone(UTC).date().isoformat(),)):
                self.requests[key] += 1
                self.bytes[key] += 0 if size == "-" else int(size)


@pytest.fixture
async def clock() -> SimClock:
    """Days after the log was written: events are kept for 400."""
    return SimClock(NOW)


def sent(log: bytes, *, by_column: bool) -> list[tuple[str, bytes]]:
    """Where it goes, and the body."""
    made: list[tuple[str, bytes]] = []

    def put(batch: Sequence[Ready]) -> None:
        made.append(("/v1/events", b"[" + b",".join(one.text.encode() for one in batch) + b"]"))

    def put_columns(found: RequestColumns) -> None:
        made.append(("/v1/events/columns", found.body().encode()))

    whole = Import(
        Shape(), put, now=NOW, format_="auto", fields={}, put_columns=put_columns if by_column else None
    )  # fmt: skip
    whole.file("access.log").take(Lines().of(log))
    whole.flush()
    return made


async def imported(house: House, log: bytes, *, by_column: bool) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for path, body in sent(log, by_column=by_column):
        told = (await house.full("POST", path, body=body)).json
        outcomes += Counter(one["outcome"] for one in told["results"])
    return outcomes


async def figures(house: House, *by: str, window: str = "none") -> tuple[dict[Any, int], dict[Any, int]]:
    """How many requests, and how many bytes."""
    asked = f"from=2015-05-01&to=2015-06-01&window={window}&limit=10000" + "".join(f"&group_by={key}" for key in by)
    found = (await house.read("GET", f"/v1/meters/traffic/query?{asked}")).json
    assert None is found["next"]
    told = {tuple(one["group"][key] for key in by) or (one["from_at"][:10],): one for one in found["items"] if one["n"]}
    return {key: one["n"] for key, one in told.items()}, {key: int(one["value_exact"]) for key, one in told.items()}


@pytest.mark.parametrize("n", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_a_real_log_comes_in_once_and_its_figures_are_those_of_its_lines(
    house: House, usage_db: Database, clock: SimClock, ids: IdSource, n: int
) -> None:
    log = b"".join(LOG.splitlines(keepends=True)[:n])
    assert 201 == (await house.full("POST", "/v1/meters", METER)).status
    truth = Truth(log.decode())

    first = await imported(house, log, by_column=True)
    again = await imported(house, log, by_column=False)
    folder = Folder(usage_db, clock, ids, hands=Hands(beside=False))
    while await folder.round():
        pass

    assert ({"accepted": n}, {"duplicate": n}) == (first, again)
    days, paths = await figures(house, window="day"), await figures(house, "path", "status")
    assert 2 * n == truth.requests.total()
    assert truth.requests == days[0] | paths[0]
    assert truth.bytes == days[1] | paths[1]
    assert truth.errors == sum(of for (_, *status), of in paths[0].items() if status[0][0] in "45")
    assert 0 < truth.errors
