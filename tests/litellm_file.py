"""LiteLLM's own list of prices, whole: of the package if it is installed, or else out of its wheel, which pip brings.

Only the file is wanted, and none of what the package needs. It is kept in build/, as it is large.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

NAME = "litellm/model_prices_and_context_window_backup.json"
KEPT = Path(__file__).resolve().parents[1] / "build" / "litellm-prices.json"


def whole_file() -> bytes:
    """Skips the test if it cannot be had."""
    found = importlib.util.find_spec("litellm")
    if found is not None and found.origin is not None:
        return (Path(found.origin).parent.parent / NAME).read_bytes()
    if not KEPT.exists():
        _fetch(KEPT)
    return KEPT.read_bytes()


def _fetch(kept: Path) -> None:
    folder = kept.with_suffix(".wheel")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    done = subprocess.run([*command, "litellm"], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot bring litellm: {done.stderr.strip()[-200:]}")
    (wheel,) = folder.glob("litellm-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        content = opened.read(NAME)
    wheel.unlink()
    folder.rmdir()
    # Two workers may be at it: each puts its own in place, whole.
    fresh = kept.with_suffix(f".{wheel.stem}.new")
    fresh.write_bytes(content)
    fresh.replace(kept)
