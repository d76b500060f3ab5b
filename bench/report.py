"""Figures, whether they meet their goals, and where and when they were taken. As a table, or as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`others`: the share of the machine that other programs took meanwhile. `note`: what the value was made of."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    others: float = 0.0
    note: str = ""

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g} {self.unit}".rstrip()
        return f"<= {self.at_most:g} {self.unit}".rstrip() if self.at_most is not None else ""

    @property
    def met(self) -> bool | None:
        """None: it has no goal."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.value <= self.at_most if self.at_most is not None else None


def surroundings(now: datetime, database: str) -> dict[str, str]:
    """What a figure is worth nothing without."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} x {model[1] if model else platform.machine()}, "
        f"{int(memory[1]) / 2**20 if memory else 0:.0f} GB, Linux {platform.release()}",
        "python": platform.python_version(),
        "database": f"SQLite {sqlite3.sqlite_version}" if database == "sqlite" else "PostgreSQL (wheel)",
    }


def table(figures: Sequence[Figure], about: dict[str, str]) -> str:
    lines = [f"{name}: {value}" for name, value in about.items()]
    lines += ["", "| figure | measured | goal | met | others |", "|---|---|---|---|---|"]
    for one in figures:
        met = {True: "yes", False: "NO", None: ""}[one.met]
        note = f" ({one.note})" if one.note else ""
        lines.append(f"| {one.name} | {_number(one.value)} {one.unit}{note} | {one.goal} | {met} | {one.others:.0%} |")
    return "\n".join(lines)


def as_json(figures: Sequence[Figure], about: dict[str, str]) -> str:
    rows = [asdict(one) | {"met": one.met} for one in figures]
    return json.dumps({"about": about, "figures": rows}, indent=1)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
