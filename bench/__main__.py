"""`python -m bench`: which measurements there are, and their sizes. What each does stands in its own module."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from bench import (
    alerts,
    backups,
    calls,
    idle,
    intake,
    limits,
    lists,
    logs,
    pages,
    pings,
    receivers,
    report,
    requests,
    rules,
    startup,
    traffic,
    usage,
)
from bench.load import CLOCK
from bench.report import Figure
from bench.served import Stores, stores

Measure = Callable[[Stores, argparse.Namespace], Awaitable[Sequence[Figure]]]


async def _pings(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await pings.measure(made, n_checks=1000, rounds=given.rounds, seconds=given.seconds)


async def _alerts(made: Stores, given: argparse.Namespace) -> list[Figure]:
    n_due = min(1000, given.checks // 10)
    found: list[Figure] = []
    for delay_s, n_hooks in ((0.0, 1), (0.1, 1), (0.1, 100)):
        found += await alerts.measure(
            made, n_checks=given.checks, n_due=n_due, groups=min(given.rounds, 3), delay_s=delay_s, n_hooks=n_hooks
        )
    found += await receivers.spread(made, n_checks=given.checks)
    return found + await alerts.failures(made, n_checks=given.checks)


async def _storm(made: Stores, given: argparse.Namespace) -> list[Figure]:
    tries = min(given.rounds, 2)
    found = await alerts.storm(made, n_checks=given.checks, tries=tries, with_hook=False)
    found += await alerts.storm(made, n_checks=given.checks, tries=tries, with_hook=False, n_hosts=160)
    return found + await alerts.storm(made, n_checks=given.checks, tries=1, with_hook=True)


async def _receivers(made: Stores, given: argparse.Namespace) -> list[Figure]:
    found = await receivers.many(made)
    found += await receivers.one_host(made)
    return found + await receivers.one_dead(made, tries=min(given.rounds, 2))


async def _backups(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await backups.measure(made, n_checks=given.checks, rounds=given.rounds, seconds=given.seconds)


async def _startup(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await startup.measure(made, n_checks=given.checks, tries=given.rounds)


async def _idle(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await idle.measure(made, n_checks=given.checks, seconds=given.idle_seconds)


async def _limits(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await limits.measure(made, rounds=given.rounds, seconds=given.seconds)


async def _lists(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await lists.measure(made, tries=given.rounds)


async def _pages(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await pages.measure(made, tries=min(given.rounds, 3), n_pings=60, seconds=given.idle_seconds)


async def _usage(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await usage.measure(made, n_events=given.events, in_order=given.in_order, senders=given.senders)


async def _intake(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await intake.measure(made, n_events=given.events, in_order=given.in_order)


async def _logs(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await logs.measure(made, n_lines=given.events, tries=min(given.rounds, 3))


async def _requests(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await requests.measure(made, per_day=given.events, tries=min(given.rounds, 3))


async def _traffic(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await traffic.measure(made, per_day=given.events, tries=min(given.rounds, 3))


async def _calls(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await calls.measure(made, per_day=given.events, tries=min(given.rounds, 3))


async def _rules(made: Stores, given: argparse.Namespace) -> list[Figure]:
    return await rules.measure(made, n_events=given.events, tries=min(given.rounds, 3))


MEASURES: dict[str, Measure] = {
    "pings": _pings,
    "alerts": _alerts,
    "storm": _storm,
    "receivers": _receivers,
    "backups": _backups,
    "startup": _startup,
    "idle": _idle,
    "limits": _limits,
    "lists": _lists,
    "pages": _pages,
    "usage": _usage,
    "intake": _intake,
    "logs": _logs,
    "requests": _requests,
    "traffic": _traffic,
    "calls": _calls,
    "rules": _rules,
}


async def _run(given: argparse.Namespace) -> list[Figure]:
    found: list[Figure] = []
    for name in MEASURES if given.what == "all" else [given.what]:
        with stores(given.database, given.python) as made:
            some = await MEASURES[name](made, given)
        for one in some:
            met = {True: "met", False: "NOT MET", None: ""}[one.met]
            print(f"{one.name}: {one.value:.4g} {one.unit} {met} {one.note}", file=sys.stderr, flush=True)
        found += some
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Heartfly on this machine.")
    parser.add_argument("what", nargs="?", default="all", choices=[*MEASURES, "all"])
    parser.add_argument("--database", default="sqlite", choices=["sqlite", "postgres"])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rounds", type=int, default=5, help="tries of each figure; the quietest counts")
    parser.add_argument("--seconds", type=float, default=4, help="length of each round of pings")
    parser.add_argument("--idle-seconds", type=float, default=30)
    parser.add_argument("--checks", type=int, default=100_000, help="checks for all but the pings")
    parser.add_argument("--events", type=int, default=100_000, help="events of usage, and lines of a log")
    as_they_happen = "events of usage and intake come in the order of their times"
    parser.add_argument("--in-order", action="store_true", help=as_they_happen)
    parser.add_argument("--senders", type=int, default=usage.SENDERS, help="connections that events of usage come over")
    installed = "Python of an environment that holds what people install, and nothing that tests need"
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help=installed)
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if a goal was not met")
    given = parser.parse_args()
    about = report.surroundings(CLOCK.now(), given.database)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_run(given))
    print(report.as_json(found, about) if given.json else report.table(found, about))
    sys.exit(int(given.strict and any(one.met is False for one in found)))


if __name__ == "__main__":
    main()
