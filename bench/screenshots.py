"""`make screenshots`: the pages as a release shows them, on a desktop and a phone, in light and in dark.

Real servers with made-up data: the demo, one with a thousand checks, an empty one. What is made lands in
build/screenshots/, and is looked at by people; a few are kept, small, for the README and its pages (docs/images/).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import mail_shot
from bench.seed import seed
from bench.served import ROOT, Store, free_port
from bench.watchers import COOKIE, signed_in

SIZES = {"1440": (1440, 900), "390": (390, 844)}
PAPER = {"width": 680, "height": 1_009}
"""A4 in pixels of 1/96 inch, within the style sheet's margins of 15 mm."""
KEPT = {"checks-list": "light", "check-down": "dark", "usage": "light"}
"""Those of the README, and in which theme: as far as a smaller window shows them, named like the shot."""
MAIL = "alert-mail"
README_SIZE = (1200, 660)
TALLER = {"usage": 720}
"""Of those of the README: what is of interest goes on farther down."""
MOST_BYTES = 150_000
_LIMIT_S = 240.0
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Shot:
    """`path` is asked of the server; `follow`: the text or selector of a link or button to go on by."""

    name: str
    path: str
    follow: Sequence[str] = ()
    whole: bool = False
    """The page to its end, not only what a window shows."""
    has: str = "h1"
    """What must be on it; without that the picture is left out, and said to be."""
    paper: bool = False
    """Once more, as it is printed on A4."""


_OF_A_CHECK = "tr:not(:has(td[data-label='Cause']:text-matches('^(rule|budget)$'))) td > a"
"""Of those incidents the newest that is of no alert rule or budget."""
DEMO = (
    Shot("checks-list", "/p/demo/checks"),
    Shot("checks-timeline", "/p/demo/checks?view=timeline", has="a[href*='view=timeline'][aria-current]"),
    Shot("checks-next", "/p/demo/checks?view=next", has="a[href*='view=next'][aria-current]"),
    Shot("check-down", "/p/demo/checks?status=down", (".row:not(.first) .name > a",)),
    Shot(
        "schedule-backtest",
        "/p/demo/checks?q=is:up",
        (".row:not(.first) .sched a", "text=Preview"),
        whole=True,
        has="#backtest h3",
    ),
    Shot("ping-body", "/p/demo/checks?status=down", (".row:not(.first) .name > a", "text=All that it said")),
    Shot("incident", "/p/demo/incidents?state=open", (_OF_A_CHECK,), whole=True),
    Shot("channels", "/p/demo/channels"),
    Shot("channel-log", "/p/demo/channels", ("td > a:has-text('#alerts')",)),
    Shot("status-page", "/status/acme", whole=True, has=".line .days"),
    Shot("usage", "/p/demo/usage?range=7d", whole=True, has=".kpis"),
    Shot("endpoints", "/p/demo/usage/endpoints?range=7d", whole=True),
    Shot("endpoint", "/p/demo/usage/endpoints?range=7d", ("td a.short[href*='/endpoints/']",), whole=True, has=".kpis"),
    Shot("requests", "/p/demo/usage/requests?status=5xx"),
    Shot("meter", "/p/demo/usage/meters/api-calls?by=endpoint", has="rect.v"),
    Shot("customer", "/p/demo/usage/customers", ("td a.short",), whole=True),
    Shot(
        "customer-report",
        "/p/demo/usage/customers",
        ("td a.short", "text=Report"),
        whole=True,
        has=".report",
        paper=True,
    ),
    Shot("apis", "/p/demo/usage/apis?range=7d", whole=True, has="#products td"),
    Shot("costs", "/p/demo/usage/costs?by=model", whole=True, has="#by td"),
    Shot("sources", "/p/demo/usage/sources"),
    Shot("watch", "/p/demo/usage/watches/new?kind=source", ("text=Preview",), whole=True, has="#preview td"),
    Shot("path-rules", "/p/demo/usage/paths", ("#lines=/v1/{what}", "text=Preview"), whole=True, has="#preview"),
    Shot("aggregation-runs", "/p/demo/usage/jobs", has=".c-final"),
)
STATUS_PAGE = {
    "#title": "Acme",
    "#slug": "acme",
    "#items": "# For customers\nWeb shop = tag:shop\nReports = tag:etl\n# Inside\nDatabases = tag:db",
}
"""The demo has none: people choose themselves what the world may see."""
EMPTY = (
    Shot("checks-empty", "/p/main/checks"),
    Shot("usage-empty", "/p/main/usage", whole=True),
    Shot("sources-empty", "/p/main/usage/sources"),
    Shot("apis-empty", "/p/main/usage/apis", whole=True),
    Shot("watches-empty", "/p/main/usage/watches"),
    Shot("check-waiting-first-ping", "/p/main/checks/new", ("#name=Nightly backup", "text=Create")),
)
BIG = (Shot("checks-1000", "/p/bench/checks"),)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.screenshots", description="Take pictures of the pages.")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "screenshots")
    parser.add_argument("--only", default="", help="a part of the names of those to take")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra

    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="heartfly-shots-") as folder:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        made = [
            *_of_demo(chromium, Path(folder), given),
            *_of_empty(chromium, Path(folder), given),
            *_of_big(chromium, Path(folder), given),
            *_of_mail(chromium, Path(folder), given),
        ]
        chromium.close()
    for name in (*KEPT, MAIL):
        if (source := given.into / f"{name}-readme.png") in made:
            small = smaller(source.read_bytes())
            print(f"docs/images/{name}.png: {len(small):,} bytes")
            (ROOT / "docs" / "images" / f"{name}.png").write_bytes(small)
    print(f"{len(made)} pictures in {given.into}")


def _of_demo(chromium: Any, folder: Path, given: argparse.Namespace) -> Iterator[Path]:
    if not _wanted(DEMO, given):
        return
    with _serving(folder / "demo", "--demo") as (url, said):
        who = re.search(r"(\S+@\S+)\n\s+(\S+)\n", said)
        assert who is not None, said
        page = chromium.new_page()
        page.goto(f"{url}/sign-in")
        page.fill("#email", who[1])
        page.fill("#password", who[2])
        page.click("button.main")
        page.wait_for_url("**/checks")
        page.goto(f"{url}/p/demo/status-pages/new")
        for field, text in STATUS_PAGE.items():
            page.fill(field, text)
        page.check("[name=published]")
        page.click("button.main")
        page.wait_for_url("**/status-pages")
        _wait_for_the_days(page, url)
        yield from _taken(chromium, url, page.context.storage_state(), DEMO, given)


def _wait_for_the_days(page: Any, url: str) -> None:
    """Until the demo's usage is counted and closed, which its jobs do once it serves."""
    until = time.perf_counter() + _LIMIT_S
    for path, sign in (("jobs", "#runs ~ * .st.up"), ("?range=7d", ".kpis")):
        while time.perf_counter() < until:
            page.goto(f"{url}/p/demo/usage/{path}".replace("/?", "?"))
            if page.locator(sign).count():
                break
            page.wait_for_timeout(1_000)


def _of_empty(chromium: Any, folder: Path, given: argparse.Namespace) -> Iterator[Path]:
    if not _wanted(EMPTY, given):
        return
    with _serving(folder / "empty") as (url, said):
        link = re.search(r"http\S+/setup\?token=\S+", said)
        assert link is not None, said
        page = chromium.new_page()
        page.goto(link.group())
        for name, value in {"email": "ada@example.com", "password": "correct horse", "again": "correct horse"}.items():
            page.fill(f"#{name}", value)
        page.click("button.main")
        page.wait_for_url("**/checks")
        for shot in EMPTY:  # in all looks before the next one, which makes checks
            yield from _taken(chromium, url, page.context.storage_state(), [shot], given)


def _of_big(chromium: Any, folder: Path, given: argparse.Namespace) -> Iterator[Path]:
    if not _wanted(BIG, given):
        return
    store = Store(folder / "big")
    store.folder.mkdir()
    token = signed_in(store, seed(store, 999), 1)[0]  # and the one that they are copies of
    with _serving(store.folder) as (url, _):
        state = {"cookies": [{"name": COOKIE, "value": token, "domain": "127.0.0.1", "path": "/"}], "origins": []}
        yield from _taken(chromium, url, state, BIG, given)


def _of_mail(chromium: Any, folder: Path, given: argparse.Namespace) -> Iterator[Path]:
    into = given.into / f"{MAIL}-readme.png"
    if given.only not in into.name:
        return
    with mail_shot.Letterbox() as letterbox, _serving(folder / "mail", settings=letterbox.settings) as (url, _):
        mail_shot.take(chromium, url, folder / "mail", letterbox, into)
    print(into.name, flush=True)
    yield into


@contextmanager
def _serving(folder: Path, *more: str, settings: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """The address, and what the server said at its start."""
    folder.mkdir(exist_ok=True)
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "heartfly", "serve", "--port", str(port), "--data", str(folder), *more]
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | (settings or {}), stdout=output, stderr=output)
    try:
        begun = time.perf_counter()
        while time.perf_counter() < begun + _LIMIT_S and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                    yield f"http://127.0.0.1:{port}", log.read_text()
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
        raise RuntimeError(f"the server did not start:\n{log.read_text()[-2_000:]}")
    finally:
        process.terminate()
        process.wait(60)


def _wanted(shots: Sequence[Shot], given: argparse.Namespace) -> bool:
    endings = ["-readme", *(f"-{size}-{theme}" for size in SIZES for theme in ("light", "dark"))]
    return any(given.only in f"{shot.name}{ending}.png" for shot in shots for ending in endings)


def _taken(chromium: Any, url: str, state: Any, shots: Sequence[Shot], given: argparse.Namespace) -> Iterator[Path]:
    looks = [(f"-{size}-{theme}", dims, theme, shots) for size, dims in SIZES.items() for theme in ("light", "dark")]
    wide, high = README_SIZE
    looks += [
        ("-readme", (wide, TALLER.get(one.name, high)), KEPT[one.name], [one]) for one in shots if one.name in KEPT
    ]
    for ending, (width, height), theme, some in looks:
        context = chromium.new_context(
            storage_state=state,
            viewport={"width": width, "height": height},
            color_scheme=theme,
            reduced_motion="reduce",
        )
        for shot in some:
            into = given.into / f"{shot.name}{ending}.png"
            if given.only in into.name and _take(context, url, shot, into):
                yield into
        context.close()


def _take(context: Any, url: str, shot: Shot, into: Path) -> bool:
    page = context.new_page()
    is_there = reached(page, url, shot)
    if is_there:
        is_whole = shot.whole and not into.stem.endswith("-readme")
        if is_whole:
            to_its_end(page)
        page.screenshot(path=into, full_page=is_whole)
        if shot.paper and into.name.endswith("-1440-light.png"):
            on_paper(page)
            page.screenshot(path=into.with_name(f"{shot.name}-print.png"), full_page=True)
    print(into.name if is_there else f"left out: {into.name}", flush=True)
    page.close()
    return is_there


def reached(page: Any, url: str, shot: Shot) -> bool:
    """Go there. False: what must be on it is not, and has not come. RuntimeError: it is an error's page."""
    page.set_default_timeout(_LIMIT_S * 1_000)  # a busy machine takes its time, and many pictures are taken already
    page.goto(url + shot.path)
    for step in shot.follow:
        if step.startswith("#"):
            field, _, text = step.partition("=")
            page.fill(field, text)
        else:
            page.locator(step).first.click()
            page.wait_for_load_state()
    # What is worked out first comes into the open page by itself.
    until = time.perf_counter() + _PATIENCE_S
    is_there = False
    while not is_there and time.perf_counter() < until:
        is_there = bool(page.locator(shot.has).count()) and not page.get_by_text("Still counting").count()
        page.wait_for_timeout(0 if is_there else 250)
    if page.locator("[aria-label='Request id']").count():
        raise RuntimeError(f"{shot.name} would show an error: {page.inner_text('main')}")
    return is_there


def to_its_end(page: Any) -> None:
    """A window as high as the page: what is fixed to its foot stands there, and not across the middle."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size(page.viewport_size | {"height": height})


def on_paper(page: Any) -> None:
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)


def smaller(png: bytes) -> bytes:
    """The same picture, packed as well as its format can be; browsers pack in haste."""
    chunks, place = [], 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        chunks.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += length + 12
    packed = zlib.compress(zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT")), 9)
    kept = [(b"IHDR", chunks[0][1]), (b"IDAT", packed), (b"IEND", b"")]
    made = png[:8] + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in kept
    )
    if len(made) > MOST_BYTES:
        raise RuntimeError(f"{len(made):,} bytes are too many for the README")
    return made


if __name__ == "__main__":
    main()
