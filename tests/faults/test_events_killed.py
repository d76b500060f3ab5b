"""Events arrive, shuffled, twice, late and in batches that are retried, while the server is killed over and over.

Then the daily aggregation proves their days, what they come to is compared to the last digit with brute force, by
customer and group, whole and by day and hour, and `heartfly usage verify` looks at every rollup. Few events with every
test run; HEARTFLY_EVENTS says how many the large run has, HEARTFLY_EVENT_KILLS how often its server is killed, and
HEARTFLY_EVENTS_S how long it may take until all have arrived.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from heartfly.clock import SystemClock
from heartfly.db.models import event_conflicts, event_ids, events, intake
from heartfly.db.parts import USAGE
from tests.faults.metering import DAY, HOUR, METERS, SUBJECTS, Made, Senders, owner, told, ways
from tests.server_process import Server

pytestmark = [pytest.mark.e2e, pytest.mark.slow]  # `make faults`

MANY = int(os.environ.get("HEARTFLY_EVENTS", "1000000"))
SEED = int(os.environ.get("HEARTFLY_SEED", "1"))
LIMIT_S = float(os.environ.get("HEARTFLY_EVENTS_S", "1800"))
KILLS = int(os.environ.get("HEARTFLY_EVENT_KILLS", "20"))
PER_KEY = 400
"""Batches; a key may send 600 a minute."""


@pytest.mark.parametrize(
    ("n", "hours", "kills"),
    [pytest.param(5_000, 6, 3, id="few"), pytest.param(MANY, 48, KILLS, marks=pytest.mark.slow, id="many")],
)
def test_events_come_to_the_last_digit_whatever_is_killed(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest, n: int, hours: int, kills: int
) -> None:
    server = Server(tmp_path, {"DATABASE__URL": database_url} if database_url else {}, limit_s=LIMIT_S)
    request.addfinalizer(server.leave)
    key = server.init()["api_key"]
    midnight = SystemClock().now().replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    made = Made(n, seed=SEED, from_at=midnight - hours * HOUR / 2, to_at=midnight + hours * HOUR / 2)
    server.start(limit_s=LIMIT_S)
    for meter in METERS:
        server.api("POST", "/v1/meters", key, meter)

    batches = list(made.batches(max(100, min(1_000, n // 500))))
    began = time.perf_counter()
    senders = Senders(server.port, _ingest_keys(server, key, len(batches)), batches)
    try:
        _kill_meanwhile(server, senders, len(batches), kills)
        senders.join(limit_s=LIMIT_S)
    finally:
        senders.stop()
    arrived_s = time.perf_counter() - began
    _contradict(server, key, made)
    for subject in range(SUBJECTS):
        if owner(subject).startswith("acme") and subject % 2 == 0:
            aliases = [f"s-{subject}", f"s-{subject + 1}"]
            server.api("POST", "/v1/customers", key, {"name": owner(subject), "aliases": aliases})
    assert "reconciled=1" in server.command("jobs", "run", "daily-usage")
    proved_s = time.perf_counter() - began
    _compare(server, key, made)
    assert "Every rollup is what its events come to." in server.command("usage", "verify")
    assert 0 == server.stop()

    print(
        f"seed={SEED}: {n:,} events in {len(batches):,} batches, {senders.n_unanswered:,} tries without an answer, "
        f"{kills} kills: arrived after {arrived_s:.0f} s, proved after {proved_s:.0f} s, "
        f"compared after {time.perf_counter() - began:.0f} s"
    )
    assert {"accepted", "duplicate"} == set(+senders.outcomes)
    _look_inside(database_url, tmp_path, n)


def _ingest_keys(server: Server, key: str, n_batches: int) -> Sequence[str]:
    made = [
        server.api("POST", "/v1/keys", key, {"name": f"sender {n}", "scopes": ["ingest"]})
        for n in range(1 + n_batches // PER_KEY)
    ]
    return [str(one["secret"]) for one in made]


def _kill_meanwhile(server: Server, senders: Senders, n_batches: int, kills: int) -> None:
    """At moments that are drawn, spread over the time in which they arrive."""
    draw = random.Random(SEED)
    for mark in sorted(draw.sample(range(1, n_batches * 8 // 10), kills)):
        senders.until(mark, limit_s=LIMIT_S)
        assert server.process is not None
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(draw.uniform(0, 0.02))
        assert senders.n_answered < n_batches
        server.kill()
        server.start(limit_s=LIMIT_S)


def _contradict(server: Server, key: str, made: Made) -> None:
    """Another content under ids that are taken: the first one counts."""
    wrong = made.lines[0].replace(b'"user": "u-', b'"user": "v-')
    said = server.api_raw("POST", "/v1/events", key, wrong)
    assert (0, 1) == (said["accepted"], said["conflict"])


def _compare(server: Server, key: str, made: Made) -> None:
    for meter in METERS:
        slug = meter["slug"]
        for name, window, by_customer, by_endpoint in ways(slug):
            by = {"by_customer": by_customer, "by_endpoint": by_endpoint}
            expected = made.figures(slug, window, **by)
            found, seen = told(server, key, made, slug, name, **by)
            assert expected.keys() == found.keys(), f"seed={SEED} {slug} {name} {by}"
            wrong = {place: (one, found[place]) for place, one in expected.items() if one != found[place]}
            assert {} == wrong, f"seed={SEED} {slug} {name} {by}"
            assert {"final"} == seen


def _look_inside(database_url: str, folder: Path, n: int) -> None:
    """Each event is kept once, was told as accepted once, and has one id."""
    engine = sa.create_engine(database_url or f"sqlite:///{folder}/heartfly-data/{USAGE.file}")
    if database_url:
        engine = engine.execution_options(schema_translate_map={None: USAGE.schema})
    with engine.connect() as connection:
        counts = [
            connection.execute(query).scalar_one()
            for query in (
                sa.select(sa.func.count()).select_from(events),
                sa.select(sa.func.count(events.c.transaction_id.distinct())),
                sa.select(sa.func.count()).select_from(event_ids),
                sa.select(sa.func.sum(intake.c.accepted)),
                sa.select(sa.func.count()).select_from(event_conflicts),
            )
        ]
    engine.dispose()
    assert [n, n, n, n, 1] == counts
