"""The demo's data, made once for all tests and copied for each: see tests/demo_data.py."""

from __future__ import annotations

from tests.demo_data import big, demo, demo_file, empty

__all__ = ["big", "demo", "demo_file", "empty"]
