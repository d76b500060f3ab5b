"""`make pictures`: do the pages still look as they did? Their pictures are compared, point by point, with kept ones.

Which pages those are is the release's list of sixteen; each on a desktop in light and in dark and on a phone, a report
also on paper. They are taken of a Heartfly that stands still (still.py), so that nothing but a change of ours differs;
and as fonts do between machines, the kept ones say what drew them, and are compared with no others. What is kept, how
and why: docs/decisions/0047.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image, ImageChops

from bench.screenshots import BIG, DEMO, EMPTY, SIZES, Shot, on_paper, reached, to_its_end
from bench.served import ROOT
from bench.still import PORT, TOLD
from bench.watchers import COOKIE

KEPT = ROOT / "bench" / "kept"
MADE_BY = "made-by.txt"
AT = datetime(2026, 11, 20, 3, 11, 4, tzinfo=UTC)
MOST = 0.001
"""The share of a picture's points that may differ."""
LOOKS = (("1440", "light"), ("1440", "dark"), ("390", "light"))
_LIMIT_S = 1_800.0
"""Thirty days of usage are counted first: a minute, and many where others want the machine."""
_ARGS = (
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--disable-gpu", "--disable-lcd-text", "--font-render-hinting=none",
)  # fmt: skip

_OF_DEMO = (
    "checks-list", "checks-timeline", "checks-next", "check-down", "schedule-backtest", "ping-body", "incident",
    "channels", "channel-log", "usage", "customer-report", "aggregation-runs", "status-page",
)  # fmt: skip
_SHOTS = {shot.name: shot for shot in (*DEMO, *EMPTY, *BIG)}
HOUSES: Mapping[str, Sequence[Shot]] = MappingProxyType({
    "demo": tuple(_SHOTS[name] for name in _OF_DEMO),
    "many": (replace(_SHOTS["checks-1000"], path="/p/demo/checks"),),
    "empty": (_SHOTS["checks-empty"],),
    # Its check is there from the start: one that is made by a form has an address of the moment.
    "waiting": (
        replace(_SHOTS["check-waiting-first-ping"], path="/p/main/checks", follow=(".row:not(.first) .name > a",)),
    ),
})  # fmt: skip

# Words in the fonts of the pages: of other fonts each has another width.
_FONTS = """() => {
  const style = getComputedStyle(document.documentElement), pen = new OffscreenCanvas(9, 9).getContext("2d");
  return ["sans", "mono"].map((name) => {
    pen.font = "100px " + style.getPropertyValue("--" + name);
    return name + " " + pen.measureText("Quick wafting zephyrs vex bold Jim 0123456789").width.toFixed(2);
  }).join(", ");
}"""


@dataclass(frozen=True, slots=True)
class Difference:
    """`n` of `of` points. `was` and `now`: width and height. `picture`: a PNG."""

    n: int
    of: int
    was: tuple[int, int]
    now: tuple[int, int]
    picture: bytes = b""

    @property
    def share(self) -> float:
        return self.n / self.of

    @property
    def is_small(self) -> bool:
        return self.share <= MOST

    def told(self) -> str:
        size = f", {self.was[0]}×{self.was[1]} is now {self.now[0]}×{self.now[1]}" if self.was != self.now else ""
        return f"{100 * self.share:.3f} % differs ({self.n:,} of {self.of:,} points{size})"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.pictures", description="Compare the pages with kept pictures."
    )
    parser.add_argument("--keep", action="store_true", help="keep the pages as they are now, in place of those kept")
    parser.add_argument("--only", default="", help="a part of the names of those to look at")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "pictures", help="for those that differ")
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--houses", type=Path, help="leave the data here, and take what is here: much sooner, if old")
    parser.add_argument("--at", type=datetime.fromisoformat, default=AT, help="the instant at which the pages stand")
    given = parser.parse_args()
    given.kept.mkdir(parents=True, exist_ok=True)
    given.into.mkdir(parents=True, exist_ok=True)
    wrong = list(_keep(given) if given.keep else _compare(given))
    for one in wrong:
        print(one, file=sys.stderr)
    sys.exit(1 if wrong else 0)


def _keep(given: argparse.Namespace) -> Iterator[str]:
    names, n_bytes = set[str](), 0
    for name, png, made_by in _taken(given):
        file = given.kept / f"{name}.webp"
        file.write_bytes(packed(png))
        names.add(file.name)
        n_bytes += file.stat().st_size
        print(f"{file.name}: {file.stat().st_size:,} bytes", flush=True)
        (given.kept / MADE_BY).write_text(made_by + "\n")
    for file in given.kept.glob("*.webp"):
        if not given.only and file.name not in names:
            file.unlink()
    print(f"{len(names)} pictures, {n_bytes:,} bytes, in {given.kept}")
    yield from ()


def _compare(given: argparse.Namespace) -> Iterator[str]:
    names, n_small = set[str](), 0
    for name, png, made_by in _taken(given):
        if not names and (told := of_another_machine(given.kept, made_by)):
            yield told
            return
        kept = given.kept / f"{name}.webp"
        names.add(kept.name)
        if not kept.exists():
            yield f"{name}: none is kept; look at {_put(given.into / f'{name}.png', png)}, then make pictures keep=1"
            continue
        found = difference(kept.read_bytes(), png)
        print(f"{name}: {found.told()}", flush=True)
        if found.is_small:
            n_small += 1
            continue
        _put(given.into / f"{name}.png", png)
        yield f"{name}: {found.told()}; see {_put(given.into / f'{name}-differs.png', found.picture)}"
    for file in sorted(given.kept.glob("*.webp")):
        if not given.only and file.name not in names:
            yield f"{file.stem}: is kept, and is no page of the list any more; make pictures keep=1 removes it"
    print(f"{n_small} of {len(names)} pictures are as they were kept")


def _put(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def of_another_machine(kept: Path, here: str) -> str:
    """Why they cannot be compared; empty if they can."""
    file = kept / MADE_BY
    there = file.read_text().strip() if file.exists() else ""
    if not there or there == here:
        return ""
    return (
        f"The kept pictures were drawn by another browser or with other fonts ({there}) than are here ({here}): no "
        "page would be as it was. At the commit that they are of, make pictures keep=1; then come back to compare."
    )


def difference(kept: bytes, made: bytes) -> Difference:
    was, now = _read(kept), _read(made)
    size = max(was.width, now.width), max(was.height, now.height)
    apart = ImageChops.difference(_on(size, was), _on(size, now))
    most = reduce(ImageChops.lighter, apart.split())
    of = size[0] * size[1]
    n = of - most.histogram()[0]
    picture = _told_by_red(_on(size, now), most) if n > MOST * of else b""
    return Difference(n, of, was.size, now.size, picture)


def _read(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture)).convert("RGBA")


def _on(size: tuple[int, int], picture: Image.Image) -> Image.Image:
    """What one of two pictures does not reach is of no colour there, and so differs from any of the other."""
    whole = Image.new("RGBA", size)
    whole.paste(picture)
    return whole


def _told_by_red(now: Image.Image, most: Image.Image) -> bytes:
    """What differs in red, upon what is now, paler."""
    pale = Image.blend(now.convert("RGB"), Image.new("RGB", now.size, "white"), 0.75)
    pale.paste((224, 32, 32), mask=most.point(lambda value: 255 if value else 0))
    made = io.BytesIO()
    pale.save(made, format="PNG")
    return made.getvalue()


def packed(png: bytes) -> bytes:
    """The same picture, smaller: nothing of it is lost."""
    made = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(made, format="WEBP", lossless=True, method=4, quality=100)
    return made.getvalue()


def _taken(given: argparse.Namespace) -> Iterator[tuple[str, bytes, str]]:
    """The name, the picture as PNG, and what it depends on beside our pages: the browser and the fonts that it has."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra

    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="heartfly-pictures-") as folder:
        for house, shots in HOUSES.items():
            wanted = [shot for shot in shots if any(given.only in name for name in names_of(shot))]
            if not wanted:
                continue
            with standing((given.houses or Path(folder)) / house, house, given.at) as (port, token):
                rules = f"--host-resolver-rules=MAP 127.0.0.1:{PORT} 127.0.0.1:{port}"
                chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*_ARGS, rules])
                yield from _of_house(chromium, wanted, token, given)
                chromium.close()


def names_of(shot: Shot) -> Sequence[str]:
    return [*(f"{shot.name}-{size}-{theme}" for size, theme in LOOKS), *([f"{shot.name}-print"] if shot.paper else ())]


def _of_house(
    chromium: Any, shots: Sequence[Shot], token: str, given: argparse.Namespace
) -> Iterator[tuple[str, bytes, str]]:
    url = f"http://127.0.0.1:{PORT}"
    page = chromium.new_page()
    page.set_default_timeout(1_000 * _LIMIT_S)
    page.goto(f"{url}/sign-in")  # for its style sheet
    made_by = f"Chromium {chromium.version}, {page.evaluate(_FONTS)}"
    page.close()
    for size, theme in LOOKS:
        width, height = SIZES[size]
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce",
            device_scale_factor=1, locale="en-GB", timezone_id="UTC",
        )  # fmt: skip
        context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
        context.clock.set_fixed_time(given.at)
        for shot in shots:
            on_screen, *paper = f"{shot.name}-{size}-{theme}", f"{shot.name}-print"
            is_first = (size, theme) == LOOKS[0]
            wanted = [on_screen] + (paper if shot.paper and is_first else [])
            if not any(given.only in name for name in wanted):
                continue
            page = context.new_page()
            if not reached(page, url, shot):
                raise RuntimeError(f"{shot.name} does not show {shot.has}")
            yield on_screen, _picture(page, is_whole=shot.whole), made_by
            if shot.paper and is_first:
                on_paper(page)
                yield paper[0], page.screenshot(full_page=True, animations="disabled"), made_by
            page.close()
        context.close()


def _picture(page: Any, *, is_whole: bool) -> bytes:
    """When it is live, for that is said on it."""
    if page.locator("body[data-live]").count() and page.locator("#as-of").count():
        page.locator("#as-of", has_text="live").wait_for()
    page.mouse.move(0, 0)
    if is_whole:
        to_its_end(page)
    png: bytes = page.screenshot(full_page=is_whole, animations="disabled", caret="hide")
    return png


@contextmanager
def standing(folder: Path, house: str, at: datetime) -> Iterator[tuple[int, str]]:
    """A server at that instant: where it listens, and the cookie of who is signed in."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TOLD).unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.still", house, "--data", str(folder), "--at", at.isoformat()]
    # Sets are gone through in the order of hashes, which are made by chance.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    log, told = folder / "server.log", folder / TOLD
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        until = time.perf_counter() + _LIMIT_S
        while not told.exists():
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                if time.perf_counter() < until:
                    continue
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-3_000:]}")
        read = json.loads(told.read_text())
        yield read["port"], read["token"]
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # it counts still
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
