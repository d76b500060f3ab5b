"""The pages in a real browser: how soon they are there, what they weigh, and how soon an open one shows a ping.

"4x CPU" is Chromium's own throttling, for a phone of some years. Times are of the quietest of a few tries; what is
counted in bytes has no noise, and is held by tests (tests/web/test_budgets.py).
"""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.load import CLOCK
from bench.procstat import Meter
from bench.report import Figure
from bench.seed import seed
from bench.served import Served, Stores, heartfly
from bench.watchers import COOKIE, signed_in, watching

PHONE_CPU = 4
MANY = 1_000
"""As many as one page shows whole."""
TABS = 200
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")

# What is seen before a script of the page runs, is seen by this one.
_WATCH = """
  window.seen = {fcp: 0, lcp: 0, task: 0, cls: 0};
  const look = (type, take) =>
    new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({type, buffered: true});
  look("paint", (one) => { if (one.name === "first-contentful-paint") seen.fcp = one.startTime; });
  look("largest-contentful-paint", (one) => { seen.lcp = one.startTime; });
  look("longtask", (one) => { seen.task = Math.max(seen.task, one.duration); });
  look("layout-shift", (one) => { seen.cls += one.value; });
"""

# When each row was last another one, and painted.
_ROWS = """() => {
  window.shownAt = {};
  new MutationObserver((changes) => {
    const added = changes.flatMap((one) => [...one.addedNodes]).filter((one) => one.nodeType === 1);
    const rows = added.flatMap((one) => one.matches(".row[id]") ? [one] : [...one.querySelectorAll(".row[id]")]);
    const ids = rows.map((row) => row.id);
    requestAnimationFrame(() => { const at = Date.now(); for (const id of ids) shownAt[id] ??= at; });
  }).observe(document.body, {childList: true, subtree: true});
}"""

# The way that the stream takes: the tab that leads tells the others what it heard. Counted is what the page does with
# it, from its first step on (an element for the row) until all is laid out again; not the way from tab to tab.
_SWAP = """async (n) => {
  const other = new BroadcastChannel("heartfly " + document.body.dataset.live);
  const rows = [...document.querySelectorAll(".row[id]")].slice(0, n);
  const settled = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  let total = 0, begun = 0;
  const create = document.createElement;
  document.createElement = (name) => {
    if (name === "template") begun = performance.now();
    return create.call(document, name);
  };
  for (const row of rows) {
    const copy = row.cloneNode(true);
    copy.dataset.v = +row.dataset.v + 1;
    const swapped = new Promise((done) => new MutationObserver((_, mine) => {
      mine.disconnect();
      document.body.getBoundingClientRect();
      done(performance.now());
    }).observe(row.parentElement, {childList: true}));
    await settled();
    other.postMessage({kind: "row", data: copy.outerHTML});
    total += await swapped - begun;
  }
  return total / rows.length;
}"""

_KEY = """async () => {
  const field = document.querySelector("#q"), begun = performance.now();
  field.focus();
  field.value = "j";
  field.dispatchEvent(new InputEvent("input", {bubbles: true}));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begun;
}"""


@dataclass(frozen=True, slots=True)
class Budget:
    """Milliseconds, as the pages' own specification has them: first and largest paint, and the longest task."""

    fcp: float
    lcp: float
    task: float


async def measure(made: Stores, *, tries: int, n_pings: int, seconds: float) -> list[Figure]:
    from playwright.async_api import async_playwright  # noqa: PLC0415 - an extra

    store = made.fresh()
    many = seed(store, MANY - 1)  # and the one that they are copies of
    tokens = signed_in(store, many, -(-TABS // 12) + 1)
    found: list[Figure] = []
    async with heartfly(store, many.paths[0]) as served, async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(_QUIET))
        meter = Meter(served.pid)
        try:
            found += await _loads(chromium, served, tokens[0], tries)
            found += await _list(chromium, served, tokens[0], tries)
            found += await _visible(chromium, served, tokens[0], many.paths, n_pings)
            others = meter.read().others
        finally:
            await chromium.close()
        found = [replace(one, others=others) for one in found]
        found.append(await _idle(served, tokens[1:], seconds))
    return found


async def _page(chromium: Any, served: Served, token: str, *, slow: bool, width: int = 1440) -> Any:
    context = await chromium.new_context(viewport={"width": width, "height": 900})
    if token:
        cookie = {"name": COOKIE, "value": token, "url": f"http://127.0.0.1:{served.port}"}
        await context.add_cookies([cookie])
    await context.add_init_script(_WATCH)
    page = await context.new_page()
    if slow:
        session = await context.new_cdp_session(page)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": PHONE_CPU})
    return page


async def _loads(chromium: Any, served: Served, token: str, tries: int) -> list[Figure]:
    here = f"http://127.0.0.1:{served.port}"
    page = await _page(chromium, served, token, slow=False)
    await page.goto(f"{here}/p/bench/checks")
    check = await page.get_attribute(".row .name a", "href")
    await page.context.close()
    small = Budget(800, 1_000, 150)
    pages = {
        "sign-in": ("", "/sign-in", Budget(600, 800, 100)),
        "40 checks": (token, "/p/bench/checks?q=Job+10", Budget(800, 1_000, 120)),
        "1,000 checks": (token, "/p/bench/checks", Budget(800, 1_200, 350)),
        "a check": (token, check, small),
        "its schedule": (token, f"{check}/schedule", small),
        "channels": (token, "/p/bench/channels", small),
    }
    found = []
    for name, (who, path, budget) in pages.items():
        seen = [await _load(chromium, served, who, path) for _ in range(tries)]
        for what, at_most, said in (
            ("fcp", budget.fcp, "first paint"),
            ("lcp", budget.lcp, "largest paint"),
            ("task", budget.task, "longest task"),
        ):
            best = min(one[what] for one in seen)
            found.append(Figure(name=f"{name}, 4x CPU: {said}", value=best, unit="ms", at_most=at_most))
        found.append(Figure(name=f"{name}: layout shift", value=max(one["cls"] for one in seen), at_most=0.02))
    return found


async def _load(chromium: Any, served: Served, token: str, path: str) -> dict[str, float]:
    page = await _page(chromium, served, token, slow=True)
    await page.goto(f"http://127.0.0.1:{served.port}{path}")
    await CLOCK.sleep(1)
    seen: dict[str, float] = await page.evaluate("seen")
    await page.context.close()
    return seen


async def _list(chromium: Any, served: Served, token: str, tries: int) -> list[Figure]:
    """1,000 rows, with the whole of this machine's speed."""
    here, ready, keys, swaps, filtered = f"http://127.0.0.1:{served.port}/p/bench/checks", [], [], [], []
    for _ in range(tries):
        page = await _page(chromium, served, token, slow=False)
        await page.goto(here)
        timing = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
        ready.append(await page.evaluate(timing))
        await page.locator("#as-of", has_text="live").wait_for()
        keys.append(await page.evaluate(_KEY))
        swaps.append(await page.evaluate(_SWAP, 30))
        await page.fill("#q", "Job 77")
        async with page.expect_navigation():
            await page.press("#q", "Enter")
        filtered.append(await page.evaluate(timing))
        await page.context.close()
    return [
        Figure(name="1,000 checks: DOM ready", value=min(ready), unit="ms", at_most=500),
        Figure(name="a key in the filter, to the next frame", value=min(keys), unit="ms", at_most=100),
        Figure(name="the filter applied: DOM ready of the answer", value=min(filtered), unit="ms"),
        Figure(name="a row put in another's place, of 1,000", value=min(swaps), unit="ms", at_most=5),
    ]


async def _visible(chromium: Any, served: Served, token: str, paths: Sequence[str], n: int) -> list[Figure]:
    """From before a ping leaves until an open page of 1,000 checks has painted its row anew."""
    page = await _page(chromium, served, token, slow=False)
    await page.goto(f"http://127.0.0.1:{served.port}/p/bench/checks")
    await page.locator("#as-of", has_text="live").wait_for()
    chance = random.Random(7)
    apart = await _told(page, served, paths, range(1, n + 1), lambda: chance.uniform(0.6, 1.1))
    await CLOCK.sleep(3)
    quick = await _told(page, served, paths, range(n + 1, 2 * n + 1), lambda: chance.expovariate(10))
    await page.context.close()
    return [
        _p95("ping to visible, one now and then", apart, 300),
        _p95("ping to visible, ten a second", quick, 300),
    ]


async def _told(
    page: Any, served: Served, paths: Sequence[str], numbers: Iterable[int], pause: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Milliseconds until it was visible, and until it was answered."""
    ids = await page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('.row[id]')].map((one) =>"
        " [one.querySelector('bdi').textContent, one.id]))"
    )
    await page.evaluate(_ROWS)
    left: dict[str, float] = {}
    answered: list[float] = []
    for number in numbers:
        await CLOCK.sleep(pause())
        left[ids[f"Job {number}"]] = time.time() * 1_000  # noqa: TID251 - both sides of one machine's clock
        begun = time.perf_counter()
        await asyncio.to_thread(served.get, paths[number])
        answered.append(1_000 * (time.perf_counter() - begun))
    await page.wait_for_function("(ids) => ids.every((id) => shownAt[id])", arg=list(left), timeout=30_000)
    shown = await page.evaluate("shownAt")
    return [shown[one] - at for one, at in left.items()], answered


def _p95(name: str, taken: tuple[Sequence[float], Sequence[float]], at_most: float) -> Figure:
    visible, answered = taken
    note = f"p50 {statistics.median(visible):.0f} ms; the answer to the ping p95 {_high(answered):.0f} ms"
    return Figure(name=f"{name}: p95", value=_high(visible), unit="ms", at_most=at_most, note=note)


def _high(taken: Sequence[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


async def _idle(served: Served, tokens: Sequence[str], seconds: float) -> Figure:
    async with watching(served.port, tokens, TABS):
        await CLOCK.sleep(5)
        meter = Meter(served.pid)
        await CLOCK.sleep(seconds)
        used = meter.read()
    share = 100 * used.cpu_s / seconds
    return Figure(name=f"{TABS} open tabs, idle", value=share, unit="% of a core", at_most=5, others=used.others)
