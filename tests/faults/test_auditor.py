"""The auditor can say no: a finished database, or one of the logs beside it, is spoiled in each way, and it is found.

One run of the real server, killed once, of which each test gets a copy.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.auditor import Alive, Auditor, Database
from tests.faults.clients import SECOND, Job, Load, Said, now, set_up, until_drained
from tests.faults.days_over import sum_up_days
from tests.faults.lives import Heard, Replay, SeenFlip, Times
from tests.notify.receivers import HttpReceiver, Request
from tests.server_process import Server

pytestmark = pytest.mark.e2e

JOBS = (
    Job("moody", "moody"),
    Job("kept", "kept", period=5, grace=1, max_run=None),
    Job("silent", "silent", period=5, grace=1, max_run=None),
    Job("begun", "begun", max_run=2),
)
PATIENCE_S = 5


@dataclass
class Ended:
    """What is left when all is over."""

    server: Server
    load: Load
    requests: list[Request]
    alive: Alive

    def promises(self) -> set[str]:
        auditor = Auditor(Database.of(self.server), self.load, self.requests, self.alive)
        return {fault[:2] for fault in auditor.faults()}

    def run(self, *statements: str) -> None:
        """Each changes something."""
        with closing(sqlite3.connect(self.server.folder / "heartfly-data" / "heartfly.db")) as database:
            for statement in statements:
                assert database.execute(statement).rowcount > 0, statement
            database.commit()

    def one(self, question: str) -> Any:
        with closing(sqlite3.connect(self.server.folder / "heartfly-data" / "heartfly.db")) as database:
            return database.execute(question).fetchone()

    def id_of(self, name: str) -> int:
        (found,) = self.one(f"SELECT id FROM checks WHERE name = '{name}'")
        return int(found)

    def path_of(self, name: str) -> str:
        return next(path for path, job in self.load.jobs.items() if job.name == name)


async def _played(folder: Path) -> Ended:
    settings = {"PINGS__KEEP_PER_CHECK": "100000000", "PINGS__RATE_PER_MINUTE": "100000000"}
    server, rng = Server(folder, settings), random.Random(1)
    keys = await asyncio.to_thread(server.init)
    async with HttpReceiver() as receiver:
        await asyncio.to_thread(server.start)
        since = now()
        load = await set_up(server, keys["api_key"], receiver, JOBS)
        clients = [asyncio.ensure_future(one) for one in (load.client(rng), *load.clients_of_jobs(rng))]
        await _goes_on(2)
        killed = now()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        again = now()
        await _goes_on(3)
        load.stopping = True
        await asyncio.gather(*clients)
        await _goes_on(PATIENCE_S + 6)
        await until_drained(server, keys["api_key"])
        assert 0 == await asyncio.to_thread(server.stop)
    await sum_up_days(server)
    end = now()
    return Ended(server, load, receiver.requests, Alive([(since, killed), (again, end)], PATIENCE_S * SECOND, end))


async def _goes_on(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - so long real jobs ping, or are silent


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return asyncio.run(_played(tmp_path_factory.mktemp("over")))


@pytest.fixture
def ended(over: Ended, tmp_path: Path) -> Ended:
    folder = tmp_path / "copy"
    shutil.copytree(over.server.folder, folder)
    return Ended(replace(over.server, folder=folder), copy.deepcopy(over.load), list(over.requests), over.alive)


def test_what_nobody_has_spoiled_breaks_no_promise(ended: Ended) -> None:
    assert set() == ended.promises()


# --- A1


def _newest_acknowledged(ended: Ended, name: str = "kept") -> tuple[tuple[str, str], Said]:
    path = ended.path_of(name)
    return [(key, said) for key, said in ended.load.said.items() if said.path == path and said.answered_at][-1]


def a_ping_is_gone(ended: Ended) -> None:
    (rid, _), _ = _newest_acknowledged(ended)
    ended.run(f"DELETE FROM pings WHERE rid = '{rid}'")


def a_ping_is_there_twice(ended: Ended) -> None:
    (rid, _), _ = _newest_acknowledged(ended)
    columns = [row[1] for row in _columns(ended, "pings")]
    others = ", ".join("n + 1" if name == "n" else name for name in columns)
    ended.run(f"INSERT INTO pings SELECT {others} FROM pings WHERE rid = '{rid}'")


def a_ping_says_something_else(ended: Ended) -> None:
    (rid, _), _ = _newest_acknowledged(ended)
    ended.run(f"UPDATE pings SET kind = 'fail' WHERE rid = '{rid}'")


def a_ping_was_acknowledged_and_not_stored(ended: Ended) -> None:
    ended.load.said["nowhere", "success"] = Said(ended.path_of("kept"), "success", None, now(), now())


def a_ping_came_before_it_was_sent(ended: Ended) -> None:
    _, said = _newest_acknowledged(ended)
    said.sent_at += SECOND
    said.answered_at = said.sent_at


def a_ping_is_there_that_nobody_sent(ended: Ended) -> None:
    key, _ = _newest_acknowledged(ended)
    del ended.load.said[key]


def _columns(ended: Ended, table: str) -> Sequence[Any]:
    with closing(sqlite3.connect(ended.server.folder / "heartfly-data" / "heartfly.db")) as database:
        return database.execute(f"PRAGMA table_info({table})").fetchall()


# --- A2


def a_flip_in_between_is_gone(ended: Ended) -> None:
    ended.run(f"DELETE FROM flips WHERE check_id = {ended.id_of('moody')} AND flip_no = 2")


def the_newest_flip_never_was_and_nothing_tells_of_it(ended: Ended) -> None:
    check = ended.id_of("silent")
    (number,) = ended.one(f"SELECT max(flip_no) FROM flips WHERE check_id = {check}")
    (alert,) = ended.one(f"SELECT id FROM alerts WHERE key = 'flip:{check}:{number}'")
    ended.run(
        f"DELETE FROM flips WHERE check_id = {check} AND flip_no = {number}",
        f"DELETE FROM runs WHERE check_id = {check} AND outcome = 'missed'",
        f"DELETE FROM incidents WHERE source_id = {check}",
        f"UPDATE checks SET flip_no = {number - 1}, status = 'up' WHERE id = {check}",
        f"DELETE FROM deliveries WHERE id IN (SELECT delivery_id FROM notifications WHERE alert_id = {alert})",
        f"DELETE FROM notifications WHERE alert_id = {alert}",
        f"DELETE FROM alerts WHERE id = {alert}",
        f"DELETE FROM check_days WHERE check_id = {check}",
    )
    ended.requests[:] = [
        one for one in ended.requests if b'"check.down"' not in one.body or b'"silent"' not in one.body
    ]


def a_flip_is_there_twice(ended: Ended) -> None:
    check = ended.id_of("moody")
    columns = [row[1] for row in _columns(ended, "flips")]
    others = ", ".join("flip_no + 1" if name == "flip_no" else name for name in columns)
    newest = f"(SELECT max(flip_no) FROM flips WHERE check_id = {check})"
    ended.run(
        f"INSERT INTO flips SELECT {others} FROM flips WHERE check_id = {check} AND flip_no = {newest}",
        f"UPDATE checks SET flip_no = flip_no + 1 WHERE id = {check}",
    )


# --- A3 and A4


def _first_told(ended: Ended, channel: str = "night") -> Request:
    return next(one for one in ended.requests if one.target == f"/{channel}" and b'"check.down"' in one.body)


def an_alert_never_came(ended: Ended) -> None:
    ended.requests.remove(_first_told(ended))


def an_alert_came_to_another_channel(ended: Ended) -> None:
    one = _first_told(ended)
    ended.requests[ended.requests.index(one)] = replace(one, target="/ops")


def an_alert_waits_for_ever(ended: Ended) -> None:
    ended.run("UPDATE notifications SET state = 'pending' WHERE alert_id = (SELECT min(alert_id) FROM notifications)")


def an_alert_came_twice_without_a_word(ended: Ended) -> None:
    ended.requests.append(_first_told(ended))


def an_alert_came_twice_under_two_ids(ended: Ended) -> None:
    one = _first_told(ended)
    said = json.loads(one.body) | {"possible_duplicate": True}
    another = {**one.headers, "webhook-id": "another"}
    ended.requests.append(replace(one, headers=another, body=json.dumps(said).encode()))


# --- A5


def a_job_that_is_never_silent_went_down_and_up_again(ended: Ended) -> None:
    check = ended.id_of("kept")
    columns = [row[1] for row in _columns(ended, "flips")]

    def after(n: int, **values: object) -> str:
        those = ", ".join(str(values.get(name, name)) for name in columns)
        return f"INSERT INTO flips SELECT {those} FROM flips WHERE check_id = {check} AND flip_no = 1"

    (first, at) = ended.one(f"SELECT flip_no, at FROM flips WHERE check_id = {check} ORDER BY flip_no LIMIT 1")
    (second,) = ended.one(f"SELECT received_at FROM pings WHERE check_id = {check} AND n = 5")
    ended.run(
        f"UPDATE flips SET flip_no = flip_no + 2 + 100 WHERE check_id = {check} AND flip_no > {first}",
        f"UPDATE flips SET flip_no = flip_no - 100 WHERE check_id = {check} AND flip_no > 100",
        after(2, flip_no=2, from_status="'up'", to_status="'down'", reason="'missed'", at=(at + second) // 2),
        after(3, flip_no=3, from_status="'down'", to_status="'up'", reason="'success'", at=second),
        f"UPDATE checks SET flip_no = flip_no + 2 WHERE id = {check}",
    )


def a_flip_is_of_an_instant_at_which_nobody_pinged(ended: Ended) -> None:
    ended.run(f"UPDATE flips SET at = at + 1 WHERE check_id = {ended.id_of('moody')} AND flip_no = 1")


def a_silence_was_told_that_a_ping_had_broken(ended: Ended) -> None:
    """It is stored, counted and acknowledged, as if it had come before the deadline."""
    check = ended.id_of("silent")
    (due,) = ended.one(f"SELECT max(at) FROM flips WHERE check_id = {check} AND reason LIKE 'missed%'")
    columns = [row[1] for row in _columns(ended, "pings")]
    values = {"n": "n + 1", "rid": "'broken'", "received_at": due - SECOND, "seq": "seq + 1000000"}
    those = ", ".join(str(values.get(name, name)) for name in columns)
    ended.run(
        f"INSERT INTO pings SELECT {those} FROM pings WHERE check_id = {check}",
        f"UPDATE checks SET n_pings = n_pings + 1 WHERE id = {check}",
    )
    ended.load.said["broken", "success"] = Said(
        ended.path_of("silent"), "success", None, due - SECOND, due - SECOND + 1
    )


def somebody_was_told_of_what_is_no_flip(ended: Ended) -> None:
    ended.run(f"UPDATE alerts SET key = 'flip:{ended.id_of('kept')}:99' WHERE id = (SELECT min(id) FROM alerts)")


# --- A6


def a_ping_is_counted_too_many(ended: Ended) -> None:
    ended.run(f"UPDATE checks SET n_pings = n_pings + 1 WHERE id = {ended.id_of('kept')}")


def an_open_run_is_counted_too_many(ended: Ended) -> None:
    ended.run(f"UPDATE checks SET n_open_runs = n_open_runs + 1 WHERE id = {ended.id_of('begun')}")


def a_run_ended_otherwise(ended: Ended) -> None:
    ended.run(f"UPDATE runs SET outcome = 'failed' WHERE check_id = {ended.id_of('kept')} AND outcome = 'ok'")


def a_day_counts_a_run_too_many(ended: Ended) -> None:
    ended.run(f"UPDATE check_days SET n_ok = n_ok + 1 WHERE check_id = {ended.id_of('kept')}")


def a_day_was_up_for_longer(ended: Ended) -> None:
    ended.run(f"UPDATE check_days SET up_s = up_s + 60 WHERE check_id = {ended.id_of('kept')}")


def a_try_is_not_told(ended: Ended) -> None:
    ended.run("DELETE FROM attempts WHERE delivery_id = (SELECT min(delivery_id) FROM attempts)")


def an_incident_is_missing(ended: Ended) -> None:
    ended.run(f"DELETE FROM incidents WHERE source_id = {ended.id_of('silent')}")


def a_channel_has_no_copy(ended: Ended) -> None:
    alert = f"(SELECT id FROM alerts WHERE key LIKE 'flip:{ended.id_of('silent')}:%')"
    night = "(SELECT id FROM channels WHERE name = 'night')"
    ended.run(f"DELETE FROM notifications WHERE alert_id IN {alert} AND channel_id = {night}")


SPOILED: dict[str, tuple[Callable[[Ended], None], ...]] = {
    "A1": (
        *(a_ping_is_gone, a_ping_is_there_twice, a_ping_says_something_else, a_ping_was_acknowledged_and_not_stored),
        *(a_ping_came_before_it_was_sent, a_ping_is_there_that_nobody_sent),
    ),
    "A2": (a_flip_in_between_is_gone, the_newest_flip_never_was_and_nothing_tells_of_it, a_flip_is_there_twice),
    "A3": (an_alert_never_came, an_alert_came_to_another_channel, an_alert_waits_for_ever),
    "A4": (an_alert_came_twice_without_a_word, an_alert_came_twice_under_two_ids),
    "A5": (
        *(a_job_that_is_never_silent_went_down_and_up_again, a_flip_is_of_an_instant_at_which_nobody_pinged),
        *(a_silence_was_told_that_a_ping_had_broken, somebody_was_told_of_what_is_no_flip),
    ),
    "A6": (
        *(a_ping_is_counted_too_many, an_open_run_is_counted_too_many, a_run_ended_otherwise),
        *(a_day_counts_a_run_too_many, a_day_was_up_for_longer, a_try_is_not_told, an_incident_is_missing),
        a_channel_has_no_copy,
    ),
}


@pytest.mark.parametrize(
    ("promise", "spoil"),
    [pytest.param(promise, one, id=one.__name__) for promise, some in SPOILED.items() for one in some],
)
def test_what_is_spoiled_is_found_by_the_promise_that_it_breaks(
    ended: Ended, promise: str, spoil: Callable[[Ended], None]
) -> None:
    spoil(ended)

    assert promise in ended.promises()


# --- which flips must be


T0 = 1_000 * SECOND
LIMIT = 5 * SECOND
FIVE = Job("five", "stray", period=5, grace=1, max_run=None)
UP = SeenFlip(1, "new", "up", T0, "success")
DOWN = SeenFlip(2, "up", "down", T0 + 6 * SECOND, "missed")
UP_AGAIN = SeenFlip(3, "down", "up", T0 + 6 * SECOND, "success")
AFTER = SeenFlip(2, "up", "down", T0 + 15 * SECOND, "missed")


def _heard(*seconds: float) -> list[Heard]:
    return [Heard(T0 + int(each * SECOND), "success", str(each), None) for each in seconds]


def _told(heard: Sequence[float], flips: Sequence[SeenFlip], *, deaf: tuple[int, int] | None, end: float) -> str:
    """Which promise is broken. `deaf`: when the server was dead, in seconds, as it says when it comes back."""
    last = T0 + int(end * SECOND)
    gap = None if deaf is None else (T0 + deaf[0] * SECOND, T0 + deaf[1] * SECOND)
    lives = [(T0, last)] if gap is None else [(T0, gap[0]), (gap[1], last)]
    times = Times(lives, [] if gap is None else [gap], LIMIT, last)
    return Replay(FIVE, flips, times, created=T0 - 1).told(_heard(*heard)).wrong[:2]


@pytest.mark.parametrize(
    ("heard", "flips", "deaf", "end", "broken"),
    [
        pytest.param([0], [UP, DOWN], None, 60, "", id="silence is told"),
        pytest.param([0], [UP], None, 60, "A2", id="and must be"),
        pytest.param([0], [UP], None, 10, "", id="but not at once"),
        pytest.param([0], [UP, DOWN, DOWN], None, 60, "A5", id="and not twice"),
        pytest.param([0, 5.999999], [UP], None, 10, "", id="a ping before the deadline is in time"),
        pytest.param([0, 5.999999], [UP, DOWN], None, 10, "A5", id="and nobody may be told of silence"),
        pytest.param([0, 6], [UP], None, 10, "", id="one that comes at the deadline may come first"),
        pytest.param([0, 6], [UP, DOWN, UP_AGAIN], None, 10, "", id="or not"),
        pytest.param([0, 12], [UP], None, 16, "A2", id="one that is too late excuses no silence"),
        pytest.param([0], [UP, DOWN], (4, 9), 60, "A5", id="no alarm of what nobody could hear"),
        pytest.param([0, 13], [UP], (4, 9), 16, "", id="it is excused"),
        pytest.param([0], [UP, AFTER], (4, 9), 60, "", id="until the next slot"),
        pytest.param([0], [UP], (4, 9), 60, "A2", id="whose silence must be told"),
        pytest.param([0], [UP, DOWN], (7, 20), 60, "", id="what was judged before the server died stands"),
        pytest.param([], [UP], None, 10, "A5", id="no flip out of nothing"),
    ],
)
def test_flips_are_told_by_what_was_heard_and_when_nobody_could(
    heard: list[float], flips: list[SeenFlip], deaf: tuple[int, int] | None, end: float, broken: str
) -> None:
    assert broken == _told(heard, flips, deaf=deaf, end=end)
