"""Checks of limits with reservation, over connections that stay open; and pings of the same server, in turns.

Each call is of one of 500 customers, and three limits hold for it: an hour of requests for each customer, a rate of the
provider, and a month of cost. Nothing is denied, so that each check is a reservation on the disk. What is measured is
one process of Heartfly; wrk, which makes the calls, has a thread of its own. Callers who never rest wait for each
other: where 2,000 are answered a second, each of 64 waits for 32 ms. So they call once more, and rest in between: as
many as the goal asks for are then to be answered in the time that it asks for.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import load
from bench.load import CLOCK, Answers
from bench.pings import CONNECTIONS, Round
from bench.procstat import Meter, megabytes
from bench.report import Figure
from bench.seed import seed
from bench.served import Served, Stores, heartfly

CUSTOMERS = 500
LIMITS: Sequence[Mapping[str, Any]] = (
    {"kind": "rolling", "amount": 10**9, "period_s": 3_600, "scope": {"customer": "each"}},
    {"kind": "rate", "amount": 10**9, "period_s": 60, "scope": {"provider": "openai"}},
    {"kind": "calendar", "amount": "1000000", "window": "month", "unit": "cost:USD"},
)
_LEAST: Mapping[str, int] = {"sqlite": 3_000, "postgres": 2_000}
_REST_MS: Mapping[str, int] = {"sqlite": 12, "postgres": 20}
"""Between an answer and the next call of a caller, on average: all of them can make half as much again as the least."""

_WRK = r"""
local bodies, n = {}, 0
function init(arguments)
  math.randomseed(os.time())
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. arguments[2]
  wrk.headers["Content-Type"] = "application/json"
  local rest_ms = tonumber(arguments[3])
  if rest_ms > 0 then
    function delay() return math.random(0, 2 * rest_ms) end
  end
  for line in io.lines(arguments[1]) do
    n = n + 1
    bodies[n] = wrk.format(nil, "/v1/limits/check", nil, line)
  end
end
function request() return bodies[math.random(n)] end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('JSON {"n": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


async def measure(made: Stores, *, rounds: int, seconds: float) -> list[Figure]:
    if not shutil.which("wrk"):
        raise RuntimeError("checks are made by wrk, which is not installed")
    store = made.fresh()
    seeded = seed(store, 1_000)
    async with heartfly(store, seeded.paths[0]) as served:
        for limit in LIMITS:
            await asyncio.to_thread(_post, served, seeded.api_key, "/v1/limits", limit)
        await _checks(served, seeded.api_key, min(seconds, 2))
        ours: list[Round] = []
        rested: list[Round] = []
        pinged: list[Answers] = []
        for _ in range(rounds):
            meter = Meter(served.pid, served.extra)
            ours.append(Round(await _checks(served, seeded.api_key, seconds), meter.read()))
            meter = Meter(served.pid, served.extra)
            rested.append(
                Round(await _checks(served, seeded.api_key, seconds, rest_ms=_REST_MS[made.database]), meter.read())
            )
            pinged.append(await load.closed_loop(served.port, seeded.paths, connections=CONNECTIONS, seconds=seconds))
            await CLOCK.sleep(0.2)
        used_mb = megabytes([served.pid])
        stored = await asyncio.to_thread(_reserved, served, seeded.api_key)
    return _figures(made.database, ours, rested, pinged, used_mb=used_mb, stored=stored)


def _figures(
    database: str,
    ours: Sequence[Round],
    rested: Sequence[Round],
    pinged: Sequence[Answers],
    *,
    used_mb: float,
    stored: int,
) -> list[Figure]:
    calm = min(rested, key=lambda one: one.used.others)
    quiet = min(ours, key=lambda one: one.used.others)
    others = quiet.used.others
    to_pings = statistics.median(a.answers.per_s / b.per_s for a, b in zip(ours, pinged, strict=True))
    n = sum(one.answers.n for one in (*ours, *rested))
    return [
        Figure(
            name="checks with reservation",
            value=quiet.answers.per_s,
            unit="/s",
            at_least=_LEAST[database],
            others=others,
            note=f"{len(LIMITS)} limits hold, {CUSTOMERS} customers, {CONNECTIONS} connections",
        ),
        Figure(
            name=f"checks: p99 at {CONNECTIONS} connections",
            value=quiet.answers.p99_ms,
            unit="ms",
            at_most=20,
            others=others,
            note=f"p50 {quiet.answers.p50_ms:.1f}, max {quiet.answers.max_ms:.1f}",
        ),
        Figure(
            name=f"checks, of {CONNECTIONS} callers who rest between two calls",
            value=calm.answers.per_s,
            unit="/s",
            at_least=_LEAST[database],
            others=calm.used.others,
        ),
        Figure(
            name="their p99",
            value=calm.answers.p99_ms,
            unit="ms",
            at_most=20,
            others=calm.used.others,
            note=f"p50 {calm.answers.p50_ms:.1f}, max {calm.answers.max_ms:.1f}",
        ),
        Figure(name="checks: throughput, ratio to pings on new connections", value=to_pings, others=others),
        Figure(name="checks: CPU each, all in all", value=quiet.cpu_ms, unit="ms", others=others),
        Figure(
            name="checks: answers that were none", value=sum(one.answers.errors for one in (*ours, *rested)), at_most=0
        ),
        Figure(
            name="checks: reserved beyond what was answered",
            value=stored - n,
            at_least=0,
            note=f"{stored:,} are reserved, of which some had no time to be answered",
        ),
        Figure(name="memory after the checks", value=used_mb, unit="MB", at_most=250),
    ]


async def _checks(served: Served, key: str, seconds: float, *, rest_ms: int = 0) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        lines = [json.dumps(_body(i)) for i in range(CUSTOMERS)]
        await asyncio.to_thread(Path(folder, "bodies").write_text, "\n".join(lines) + "\n")
        await asyncio.to_thread(Path(folder, "checks.lua").write_text, _WRK)
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout", "15s"]
        command += [
            "-s",
            f"{folder}/checks.lua",
            f"http://127.0.0.1:{served.port}",
            "--",
            f"{folder}/bodies",
            key,
            str(rest_ms),
        ]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
    line = next(line for line in said.decode().splitlines() if line.startswith("JSON "))
    found = json.loads(line[5:])
    return Answers(**(found | {"n": found["n"] - found["errors"]}))


def _body(i: int) -> Mapping[str, Any]:
    scope = {"provider": "openai", "model": "gpt-5", "customer": f"customer-{i}", "user": f"user-{i % 50}"}
    return {"scope": scope, "units": {"requests": 1, "input_tokens": 1_200}, "cost": {"USD": "0.0042"}, "ttl": 3_600}


def _reserved(served: Served, key: str) -> int:
    """Of the limit for each customer, over all of them: as many as were answered, or the disk does not know."""
    limit = next(one for one in _get(served, key, "/v1/limits")["items"] if one["kind"] == "rolling")
    counters = _get(served, key, f"/v1/limits/{limit['id']}/counters?limit=500")["items"]
    return sum(int(one["used"]) for one in counters)


def _get(served: Served, key: str, path: str) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"http://127.0.0.1:{served.port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _post(served: Served, key: str, path: str, body: Mapping[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.port}{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
