"""Any single request costs a server little: 200 ms of computing and 20 MiB of memory, whatever stands in it.

A real `heartfly serve` with a small world in it is sent the corpus (corpus.py), of every route that there is, one
request after another; the kernel says what each cost it. What is to cost more stands in bulk.py, with the reason. CI
sends each route a few of its cases, and those by which something was found; `slow` one of each HEARTFLY_SINGLE (16).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from heartfly import web
from tests.server_process import Server
from tests.single import bodies, corpus, nasty
from tests.single.bulk import ANY, BULK, MIB, Bound, bound_of
from tests.single.corpus import Route
from tests.single.cost import Cost, Purse
from tests.single.site import Case, Site, served

pytestmark = pytest.mark.e2e

TRIES = 3
"""The best of them counts, and before each but the first it is waited until the server does next to nothing: it has
work of its own besides, and what was asked before may go on.
"""
STILL_S = 20
TOGETHER = 150
"""So many requests are looked at together for what goes on behind their answers."""
BEHIND_S = 4.0
"""Of so many: what is folded, sent and judged meanwhile. One number that costs minutes is far above it."""
SETTLES_S = 60

# By what a request was found to cost more, or to be answered with 500. `long` says that it fills its body.
FOUND = (
    ("POST", "/metronome/v1/billable-metrics/create", "name: long: marks that are to be put in order"),
    ("POST", "/v1/checks", "name: long: marks that are to be put in order"),
    ("POST", "/metronome/v1/usage", "billable_metrics.0.group_by.values.0: long: ranges"),
    ("POST", "/lago/api/v1/events", "event.code: long: wide"),
    ("POST", "/orb/events/backfills", "the body: wide"),
    ("POST", "/otlp/v1/traces", "resourceSpans: long: many lists"),
    ("POST", "/otlp/v1/metrics", "resourceMetrics.0.scopeMetrics.0.metrics.0.sum.dataPoints.0: text: half a pair"),
    ("POST", "/account/security/passkeys/{passkey}/rename", "the form: a charset"),
    ("POST", "/p/{project}/usage/backfills/{backfill}/events", "a file's text by Punycode"),
    ("GET", "/v1/usage/traffic/methods", "range: 2000-01-01T00:00:00Z to 2026-12-31T00:00:00Z by day"),
    ("POST", "/v1/import/healthchecks", "whole 1, checks.0.channels: long: a list"),
    ("POST", "/v1/limits/simulate", "whole 1, zone: text: a zone"),
    ("GET", "/p/{project}/usage/customers/{customer}", "range: 0001-01-01T00:00:00Z to 9999-12-31T00:00:00Z by second"),
)


@dataclass
class Held:
    """What was asked, and what cost too much or was answered with an error of ours."""

    site: Site
    leeway: float = 1.0
    """So many times its bound of computing a request may take."""
    n: int = 0
    wrong: list[str] = field(default_factory=list)
    _together: list[Case] = field(default_factory=list)
    _before_s: float = 0
    _own_s: float = 0

    def ask(self, route: Route, case: Case) -> None:
        if not self._together:
            self._before_s, self._own_s = self.site.purse.computed_s(), 0.0
        bound, best = bound_of(*route), Cost(float("inf"), 1 << 62)
        for i in range(TRIES):
            if i:
                self.site.purse.settle(STILL_S)
            told = self.site.ask(case)
            self.n += 1
            self._own_s += told.cost.cpu_s
            best = Cost(min(best.cpu_s, told.cost.cpu_s), min(best.peak, told.cost.peak))
            if told.status in {0, 500}:
                self.wrong.append(f"{_named(route, case)}: answered with {told.status}")
            if best.cpu_s <= self.leeway * bound.cpu_s and best.peak <= bound.memory:
                break
        else:
            self.wrong.append(f"{_named(route, case)}: {_told(best)}, and may have {_told(bound)}: {bound.why}")
        self._together.append(case)
        if len(self._together) == TOGETHER:
            self.settle()

    def settle(self) -> None:
        """What went on behind the answers since it was looked at last."""
        together, self._together = self._together, []
        if not together:
            return
        behind_s = self._behind_s()
        if behind_s < BEHIND_S:
            return
        costs = {self._alone_s(case): case for case in together}
        if (worst_s := max(costs)) > ANY.cpu_s * 2:
            case = costs[worst_s]
            self.wrong.append(f"behind {case.method} {case.path[:200]} ({case.name}): {worst_s:.2f} s of computing")

    def _behind_s(self) -> float:
        self.site.purse.settle(SETTLES_S)
        return self.site.purse.computed_s() - self._before_s - self._own_s

    def _alone_s(self, case: Case) -> float:
        """The least of some tries."""
        found = []
        for _ in range(TRIES):
            self._before_s = self.site.purse.computed_s()
            self._own_s = self.site.ask(case).cost.cpu_s
            found.append(self._behind_s())
        return min(found)


def _named(route: Route, case: Case) -> str:
    return f"{' '.join(route)}, {case.name[:120]}"


def _told(one: Cost | Bound) -> str:
    memory = one.peak if isinstance(one, Cost) else one.memory
    return f"{one.cpu_s:.3f} s and {memory / MIB:.1f} MiB"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    server = Server(tmp_path_factory.mktemp("single"))
    with served(server) as made:
        yield made
        log = (server.folder / "server.log").read_text()
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]


def held(site: Site, *, every: int, least: int, leeway: float = 1.0) -> Held:
    """Of each route its first `least` cases, those by which something was found, and one in `every` of the others."""
    found, known = Held(site, leeway), {(method, path): name for method, path, name in FOUND}
    missed = set(known)
    for route, cases in corpus.cases(site):
        for i, case in enumerate(cases):
            is_known = known.get(route) == case.name
            text = f"{' '.join(route)} {case.name}".encode("utf-8", "replace")
            if is_known or i < least or zlib.crc32(text) % every == 0:
                found.ask(route, case)
            if is_known:
                missed.discard(route)
    found.settle()
    assert set() == missed  # they are in the corpus
    return found


def test_a_request_costs_little_whatever_stands_in_it(site: Site) -> None:
    # A crowded processor computes longer at the same; what a request must never cost is far above even that.
    found = held(site, every=2_000, least=1, leeway=3.0)

    assert [] == found.wrong, "\n".join(found.wrong)
    assert found.n > len(corpus.all_routes())


@pytest.mark.slow
def test_a_request_costs_little_however_many_are_tried(site: Site) -> None:
    found = held(site, every=int(os.environ.get("HEARTFLY_SINGLE", "16")), least=2)

    print(f"{found.n} requests")
    assert [] == found.wrong, "\n".join(found.wrong)


# --- the corpus is whole


def test_every_route_is_in_the_corpus_and_those_with_a_body_have_one(site: Site) -> None:
    asked = {route: next(iter(cases), None) for route, cases in corpus.cases(site)}

    assert corpus.all_routes() == set(asked)
    assert set() == {route for route, case in asked.items() if case is None}
    assert set() == corpus.lacking()
    assert set() == {*bodies.FOREIGN} - corpus.all_routes()


def test_what_may_cost_more_is_a_route_that_there_is() -> None:
    routes = {" ".join(route) for route in corpus.all_routes()}

    unused = [pattern for pattern, _ in BULK if not any(re.fullmatch(pattern, route) for route in routes)]
    assert [] == unused
    # Nine of ten routes are held to what any request may cost.
    assert 10 * sum(bound_of(*route) is not ANY for route in corpus.all_routes()) < len(corpus.all_routes())


def test_every_name_that_a_page_reads_out_of_its_address_is_sent() -> None:
    """`query_params.get("…")` in the handlers of pages."""
    read = {
        name
        for file in Path(web.__path__[0]).glob("*.py")
        for name in re.findall(r'query_params(?:\.get\(|\[)\s*"(\w+)"', file.read_text())
    }

    assert 20 < len(read)
    assert set() == read - set(nasty.NAMES_OF_PAGES)


# --- the scales are right


def test_what_a_process_computes_and_holds_is_seen_also_if_a_child_does_it() -> None:
    works = (
        "import sys\nfor line in sys.stdin:\n x = bytearray(50_000_000); y = sum(range(3_000_000)); del x\n"
        " print(y); sys.stdout.flush()"
    )
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {works!r}])"
    for program in (works, parent):
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            purse = Purse(process.pid)
            for _ in range(2):
                purse.open()
                process.stdin.write(b"\n")
                process.stdin.flush()
                process.stdout.readline()
                cost = purse.spent()
            process.stdin.close()

        assert 0.01 < cost.cpu_s < 10
        assert 45_000_000 < cost.peak < 80_000_000
