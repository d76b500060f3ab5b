"""Pages that claim something name tests: each of these exists, and no requirement of the standard is left out.

Whether a test shows what it is named for, its reader judges.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Levels of the requirements of ASVS 5.0.0, by section, in their order.
LEVELS = {
    "1.1": "22", "1.2": "1111122223", "1.3": "112222222223", "1.4": "222", "1.5": "123",
    "2.1": "122", "2.2": "112", "2.3": "12223", "2.4": "23",
    "3.1": "3", "3.2": "113", "3.3": "12223", "3.4": "11222233", "3.5": "11122333", "3.6": "3", "3.7": "22333",
    "4.1": "12233", "4.2": "23333", "4.3": "22", "4.4": "1222",
    "5.1": "2", "5.2": "112333", "5.3": "113", "5.4": "222",
    "6.1": "122", "6.2": "111111112222", "6.3": "11223333", "6.4": "112233", "6.5": "22222333", "6.6": "2223",
    "6.7": "33", "6.8": "2222",
    "7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22",
    "8.1": "1233", "8.2": "1123", "8.3": "133", "8.4": "23",
    "9.1": "111", "9.2": "1222",
    "10.1": "22", "10.2": "223", "10.3": "22223", "10.4": "1111122222233333", "10.5": "22222", "10.6": "22",
    "10.7": "222",
    "11.1": "2233", "11.2": "22233", "11.3": "11233", "11.4": "1222", "11.5": "23", "11.6": "23", "11.7": "33",
    "12.1": "12233", "12.2": "11", "12.3": "22223",
    "13.1": "2333", "13.2": "222223", "13.3": "2233", "13.4": "1222233",
    "14.1": "22", "14.2": "12223333", "14.3": "122",
    "15.1": "12233", "15.2": "12233", "15.3": "1222222", "15.4": "3333",
    "16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "2223",
    "17.1": "23", "17.2": "22223333", "17.3": "22",
}  # fmt: skip
N_FAULTS = 36


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def judged() -> list[tuple[str, str, str, str]]:
    """Number, level, verdict and evidence of each row."""
    rows = re.findall(r"^\| ([\d.]+) \| ([12]) \| [^|]+ \| ([^|]+) \| (.+) \|$", text_of("asvs.md"), re.MULTILINE)
    return [(number, level, verdict, seen) for number, level, verdict, seen in rows]


@cache
def functions_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"(?<![\w/])(tests/[\w/]+\.py)(?:::(\w+))?", page.read_text(encoding="utf-8"))
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or (name and name not in functions_in(ROOT / file))
    ]

    assert [] == missing


def test_every_requirement_of_the_first_two_levels_has_a_verdict() -> None:
    wanted = [
        (f"{section}.{at}", level)
        for section, levels in LEVELS.items()
        for at, level in enumerate(levels, start=1)
        if level in "12"
    ]

    assert {"1": 70, "2": 183} == Counter(level for _, level in wanted)
    assert wanted == [(number, level) for number, level, _, _ in judged()]


def test_verdicts_are_counted_as_they_are() -> None:
    found = Counter(verdict for _, _, verdict, _ in judged())

    told = (
        f"Of {found.total()} requirements {found['holds']} hold, {found['yours']} are yours, {found['open']} are open"
    )
    assert {"holds", "yours", "open", "not here"} == set(found)
    assert f"{told}, and {found['not here']} are about something that is not here." in text_of("asvs.md")
    counted = f"{found['holds']} hold, {found['yours']} are yours, {found['open']} open, {found['not here']} not here"
    assert counted in text_of("proof.md")


def test_what_does_not_hold_is_published_as_an_exception_and_nothing_else_is() -> None:
    table = text_of("asvs.md").partition("## Exceptions")[2].partition("\n## ")[0]
    excepted = [number for row in re.findall(r"^\| ([\d., ]+) \|", table, re.MULTILINE) for number in row.split(", ")]

    assert sorted(number for number, _, verdict, _ in judged() if verdict == "open") == sorted(excepted)


def test_each_fault_is_told_of_once() -> None:
    faults = text_of("proof.md").partition("## Faults")[2].partition("\n## ")[0]

    told = [int(number) for number in re.findall(r"^\| (\d+) \|", faults, re.MULTILINE)]
    assert list(range(1, N_FAULTS + 1)) == told
