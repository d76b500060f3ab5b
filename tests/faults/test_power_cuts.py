"""The power fails at any moment: no ping and no event that was answered with 200 is lost, each event is there once, and
no page of either file is damaged.

A real server is traced while clients ping it and send events, until each log was carried over into its file several
times, and its files are then put together as a disk may have left them. `make faults` looks at 10,000 such moments.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pytest

from tests.faults.power import CALLS, Disk, read_trace
from tests.server_process import Server, free_port, get

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

N_CUTS = int(os.environ.get("HEARTFLY_CUTS", "200"))
SEED = int(os.environ.get("HEARTFLY_SEED", "1"))
N_PINGS = 7_000
N_CLIENTS = 24
N_BATCHES, EVENTS_EACH, N_SENDERS = 110, 400, 2
"""A log is carried over after so many rows as db/parts.py says; an event writes two and more."""
CARRIED_OVER = 3
"""So often each log at least, within the time in which the power may fail."""
DEAF_CUTS = 40
LIMIT_S = 240.0


@dataclass(frozen=True)
class Recorded:
    """`disk_of`: as it was, but deaf to flushes of some files."""

    disk_of: Callable[[Callable[[str], bool]], Disk]
    first: int
    """The call before which nothing had been acknowledged."""
    pings: list[tuple[float, str]]
    """When each was acknowledged, and its run id."""
    events: list[tuple[float, Sequence[str]]]
    """The same of batches, and the transaction ids."""
    main: str
    usage: str

    @property
    def disk(self) -> Disk:
        return self.disk_of(lambda _: False)


@dataclass(frozen=True)
class Found:
    """What is missing after a cut, and what is wrong with the files."""

    lost_pings: int = 0
    lost_events: int = 0
    twice: int = 0
    """Events that are there more than once, or whose id is not known for the event that it is."""
    wrong: str = ""


async def ping_all(port: int, path: str) -> list[tuple[float, str]]:
    heard: list[tuple[float, str]] = []

    async def client() -> None:
        while len(heard) < N_PINGS:
            rid = str(uuid.uuid4())
            assert 200 == await get(port, f"{path}?rid={rid}")
            heard.append((time.time(), rid))  # noqa: TID251 - strace's times are of that clock

    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*(client() for _ in range(N_CLIENTS)))
    return heard


def send_all(port: int, key: str) -> list[tuple[float, Sequence[str]]]:
    """Batches of events, one after the other by each sender, in connections that are kept."""
    heard: list[tuple[float, Sequence[str]]] = []
    left = threading.Semaphore(N_BATCHES)
    at = datetime.now(UTC).isoformat()  # noqa: TID251 - any time of today

    def send() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            while left.acquire(blocking=False):
                ids = [f"e-{uuid.uuid4().hex}" for _ in range(EVENTS_EACH)]
                rest = f'"customer_id": "acme", "timestamp": "{at}", "event_type": "api", "properties": {{"n": 1}}'
                lines = [f'{{"transaction_id": "{one}", {rest}}}' for one in ids]
                headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
                connection.request("POST", "/v1/events", "\n".join(lines), headers)
                answer = connection.getresponse()
                said = answer.read()
                assert (200, EVENTS_EACH) == (answer.status, json.loads(said)["accepted"]), said
                heard.append((time.time(), ids))  # noqa: TID251 - as above

    with ThreadPoolExecutor(N_SENDERS) as pool:
        for sender in [pool.submit(send) for _ in range(N_SENDERS)]:
            sender.result(LIMIT_S)
    return heard


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    if shutil.which("strace") is None:
        pytest.skip("no strace here: apt-get install strace")
    folder = tmp_path_factory.mktemp("power")
    traces = folder / "traces"
    traces.mkdir()
    server = Server(folder, {"PINGS__RATE_PER_MINUTE": "1000000", "PINGS__KEEP_PER_CHECK": "1000000"})
    keys = server.init()
    main, usage = (folder / "heartfly-data" / name for name in ("heartfly.db", "usage.db"))
    began = {str(file): file.read_bytes() for file in (main, usage)}
    server.port = free_port()
    # -D: the server is our own child, so that it is the one that is killed.
    # What is not looked at costs nothing by the filter of the kernel.
    tracing = ["strace", "-D", "-ff", "--seccomp-bpf", "-ttt", "-y", "-xx", "-s", "4000000", "-e", f"trace={CALLS}"]
    with (folder / "server.log").open("ab") as log:
        server.process = subprocess.Popen(
            [*tracing, "-o", str(traces / "t"), sys.executable, "-m", "heartfly", "serve", "--port", str(server.port)],
            cwd=folder, env=server.environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        made = until_it_answers(server, keys["api_key"])
        first_at = time.time()  # noqa: TID251 - as above
        with ThreadPoolExecutor(1) as beside:
            sending = beside.submit(send_all, server.port, keys["api_key"])
            pings = asyncio.run(ping_all(server.port, made))
            events = sending.result(LIMIT_S)
    finally:
        server.leave()
    trace = read_trace(traces, [f"{file}{log_of}" for file in (main, usage) for log_of in ("", "-wal")])
    shutil.rmtree(traces)

    def disk_of(deaf: Callable[[str], bool]) -> Disk:
        return Disk(began, trace, deaf=deaf)

    first = disk_of(lambda _: False).moment_of(first_at)
    return Recorded(disk_of, first, pings, events, str(main), str(usage))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Thousands of files that nobody keeps are written there: in memory, where that can be had."""
    memory = Path("/dev/shm")
    folder = Path(mkdtemp(prefix="heartfly-cuts-", dir=memory if memory.is_dir() else tmp_path))
    yield folder
    shutil.rmtree(folder)


def until_it_answers(server: Server, key: str) -> str:
    """The path to ping, of a check that is made by then."""
    ends = time.monotonic() + LIMIT_S  # noqa: TID251 - bounds a wait
    while True:
        try:
            made = server.api("POST", "/v1/checks", key, {"name": "job"})
        except OSError:
            assert server.process is not None
            assert server.process.poll() is None, (server.folder / "server.log").read_text()[-3000:]
            assert time.monotonic() < ends  # noqa: TID251 - as above
        else:
            return str(made["ping_url"]).removeprefix(server.url)


def look(recorded: Recorded, files: dict[str, bytes], at: float, folder: Path) -> Found:
    """What a Heartfly would find that is started after a cut at this moment."""
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
    try:
        wrong_main, stored = read(folder / Path(recorded.main).name, "SELECT rid FROM pings")
        wrong_usage, counted = read(folder / Path(recorded.usage).name, "SELECT transaction_id FROM events")
        # An id knows its event, or the event would count once more when it is sent again.
        unknown = "SELECT id FROM events WHERE id NOT IN (SELECT event_id FROM event_ids)"
        without = "SELECT event_id FROM event_ids WHERE event_id NOT IN (SELECT id FROM events)"
        _, strange = read(folder / Path(recorded.usage).name, f"{unknown} UNION ALL {without}", whole=False)
    except sqlite3.DatabaseError as error:
        return Found(wrong=str(error))
    known, sure = {*stored}, {*counted}
    lost = [rid for answered_at, rid in recorded.pings if answered_at < at and rid not in known]
    lost_events = [one for answered_at, ids in recorded.events if answered_at < at for one in ids if one not in sure]
    twice = len(counted) - len(sure) + len(strange)
    return Found(len(lost), len(lost_events), twice, wrong_main or wrong_usage)


def read(path: Path, query: str, *, whole: bool = True) -> tuple[str, list[str]]:
    """What is wrong with the file, if it shall be looked at as a whole, and the answers."""
    with closing(sqlite3.connect(path)) as database:
        said = database.execute("PRAGMA integrity_check").fetchone()[0] if whole else "ok"
        found = [value for (value,) in database.execute(query)]
    return "" if said == "ok" else str(said), found


def cuts(recorded: Recorded, disk: Disk, n: int, place: Path) -> list[Found]:
    random = Random(SEED)
    moments = [random.randrange(recorded.first + 1, len(disk) + 1) for _ in range(n)]
    found = []
    for number, (files, at) in enumerate(disk.cuts(moments, random, sure_until=recorded.first)):
        folder = place / str(number)
        folder.mkdir()
        found.append(look(recorded, files, at, folder))
        shutil.rmtree(folder)
    return found


def test_while_it_is_recorded_each_log_is_carried_over_several_times(recorded: Recorded) -> None:
    disk = recorded.disk

    n_main, n_usage = (disk.written(file, first=recorded.first) for file in (recorded.main, recorded.usage))

    print(f"carried over: {n_main} times into heartfly.db, {n_usage} times into usage.db")
    assert CARRIED_OVER <= n_main
    assert CARRIED_OVER <= n_usage


def test_no_acknowledged_ping_is_lost_and_no_page_damaged(recorded: Recorded, place: Path) -> None:
    """Nor an acknowledged event, and none counts twice."""
    disk = recorded.disk

    found = cuts(recorded, disk, N_CUTS, place)

    told = f"{len(recorded.pings)} pings, {sum(len(ids) for _, ids in recorded.events)} events"
    print(f"seed={SEED}: {N_CUTS} cuts in {len(disk)} calls, acknowledged: {told}")
    assert [] == [(number, each) for number, each in enumerate(found) if each != Found()], f"seed={SEED}"


def test_on_a_disk_that_flushes_nothing_it_is_noticed(recorded: Recorded, place: Path) -> None:
    found = cuts(recorded, recorded.disk_of(lambda _: True), DEAF_CUTS, place)

    assert any(each != Found() for each in found)


@pytest.mark.parametrize("of", ["main", "usage"])
def test_on_a_disk_that_does_not_flush_what_a_log_is_carried_into_it_is_noticed(
    recorded: Recorded, place: Path, of: str
) -> None:
    """So cuts meet the moments at which a log begins anew."""
    deaf = recorded.main if of == "main" else recorded.usage

    found = cuts(recorded, recorded.disk_of(lambda file: file == deaf), DEAF_CUTS, place)

    assert any(each != Found() for each in found)


@pytest.mark.parametrize("of", ["main", "usage"])
def test_on_a_disk_that_does_not_flush_one_log_losses_of_it_are_noticed(
    recorded: Recorded, place: Path, of: str
) -> None:
    deaf = f"{recorded.main if of == 'main' else recorded.usage}-wal"

    found = cuts(recorded, recorded.disk_of(lambda file: file == deaf), DEAF_CUTS, place)

    assert any(each.lost_pings if of == "main" else each.lost_events for each in found)
