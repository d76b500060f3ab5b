"""Pictures are compared point by point, and what they are taken of stands still: it is the same, but for a change."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("PIL")
from PIL import Image, ImageDraw

from bench.pictures import HOUSES, KEPT, LOOKS, MADE_BY, difference, names_of, of_another_machine, packed
from bench.served import ROOT

SIZE = (100, 50)
POINTS = SIZE[0] * SIZE[1]
OF_A_RELEASE = {
    "checks-list", "checks-timeline", "checks-next", "checks-empty", "checks-1000", "check-down",
    "check-waiting-first-ping", "schedule-backtest", "ping-body", "incident", "channels", "channel-log", "usage",
    "customer-report", "aggregation-runs", "status-page",
}  # fmt: skip


def drawn(n_red: int = 0, size: tuple[int, int] = SIZE) -> bytes:
    """A white picture, the first points of which are red."""
    picture, made = Image.new("RGB", size, "white"), io.BytesIO()
    for n in range(n_red):
        picture.putpixel((n % size[0], n // size[0]), (255, 0, 0))
    picture.save(made, format="PNG")
    return made.getvalue()


def test_a_picture_that_is_packed_is_the_same_picture() -> None:
    picture = Image.new("RGB", (300, 200), "white")
    for n in range(40):
        ImageDraw.Draw(picture).ellipse((n * 3, n * 2, n * 7, n * 5), fill=(n * 6, 255 - n, n * 3))
    made = io.BytesIO()
    picture.save(made, format="PNG")

    assert 0 == difference(packed(made.getvalue()), made.getvalue()).n
    assert len(packed(made.getvalue())) < len(made.getvalue())


def test_each_point_counts_however_little_it_differs() -> None:
    other, made = Image.new("RGB", SIZE, "white"), io.BytesIO()
    other.putpixel((7, 7), (255, 254, 255))
    other.save(made, format="PNG")

    assert (1, POINTS) == ((found := difference(drawn(), made.getvalue())).n, found.of)


def test_one_in_a_thousand_points_may_differ_and_not_one_more() -> None:
    just, more = difference(drawn(), drawn(POINTS // 1_000)), difference(drawn(), drawn(POINTS // 1_000 + 1))

    assert (True, b"") == (just.is_small, just.picture)
    assert (False, "0.120 % differs (6 of 5,000 points)") == (more.is_small, more.told())


def test_what_differs_is_red_in_a_picture_and_the_rest_is_pale() -> None:
    shown = Image.open(io.BytesIO(difference(drawn(50), drawn(2)).picture))

    assert (224, 32, 32) == shown.getpixel((2, 0))
    assert (255, 191, 191) == shown.getpixel((0, 0))
    assert SIZE == shown.size


def test_what_one_of_both_does_not_reach_differs() -> None:
    found = difference(drawn(), drawn(size=(100, 60)))

    assert "16.667 % differs (1,000 of 6,000 points, 100×50 is now 100×60)" == found.told()


def test_the_pages_are_those_of_the_list_in_every_look_and_all_are_kept() -> None:
    shots = [shot for some in HOUSES.values() for shot in some]
    names = {name for shot in shots for name in names_of(shot)}

    assert OF_A_RELEASE == {shot.name for shot in shots}
    assert len(OF_A_RELEASE) * len(LOOKS) + 1 == len(names)
    assert names == {file.stem for file in KEPT.glob("*.webp")}
    assert (KEPT / MADE_BY).read_text().startswith("Chromium ")


def test_pictures_of_another_machine_are_not_compared(tmp_path: Path) -> None:
    assert not of_another_machine(tmp_path, "Chromium 4")
    (tmp_path / MADE_BY).write_text("Chromium 1, sans 2\n")

    assert not of_another_machine(tmp_path, "Chromium 1, sans 2")
    told = of_another_machine(tmp_path, "Chromium 4")
    assert "drawn by another browser or with other fonts (Chromium 1, sans 2) than are here (Chromium 4)" in told


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.browser
def test_a_page_is_the_same_whenever_it_is_looked_at_and_a_change_of_a_colour_is_seen(tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("no chromium here")
    name, changed = "check-waiting-first-ping-390-light", tmp_path / "changed"
    shutil.copytree(ROOT, changed, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "kept", "tests"))
    tokens = changed / "heartfly" / "web" / "css" / "tokens.css"
    tokens.write_text(tokens.read_text().replace("--bg: light-dark(#fbfbfc", "--bg: light-dark(#fbfbfd"))

    def run(where: Path, *more: str) -> subprocess.CompletedProcess[str]:
        places = ["--kept", str(tmp_path / "kept"), "--into", str(tmp_path / "into")]
        command = [sys.executable, "-m", "bench.pictures", "--only", name, *places, *more]
        return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=600, check=False)

    kept, again, other = run(ROOT, "--keep"), run(ROOT), run(changed)

    assert 0 == kept.returncode, kept.stderr
    assert 0 == again.returncode, again.stderr
    assert f"{name}: 0.000 % differs (0 of " in again.stdout
    assert 1 == other.returncode
    assert f"{name}-differs.png" in other.stderr
    assert (tmp_path / "into" / f"{name}-differs.png").read_bytes().startswith(b"\x89PNG")
