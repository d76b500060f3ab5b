from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from heartfly import config

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SETTINGS = [f"{section}.{field.name}" for section, table in config.sections() for field in table]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(group: click.Group, path: str) -> Iterator[str]:
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}"


def told_in(page: Path) -> Iterator[str]:
    """Targets of links, outside of code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", prose)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_explained(name: str) -> None:
    assert 1 == text_of("docs/configuration.md").count(f"| `{name}` |")


def test_no_setting_is_explained_that_does_not_exist() -> None:
    explained = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text_of("docs/configuration.md"), re.MULTILINE)

    assert SETTINGS == explained


def test_every_variable_named_in_the_docs_exists() -> None:
    known = {"HEARTFLY_" + name.replace(".", "__").upper() for name in SETTINGS} | {"HEARTFLY_SECTION__KEY"}
    pages = [*PAGES, ROOT / "config.example.toml", ROOT / "Dockerfile"]
    named = {v for page in pages for v in re.findall(r"HEARTFLY_[A-Z]+__[A-Z_]+", page.read_text(encoding="utf-8"))}

    assert set() == named - known


def test_every_command_is_listed_and_no_other() -> None:
    cli = importlib.import_module("heartfly.cli") if importlib.util.find_spec("heartfly.cli") else None
    root = next((v for v in vars(cli or object).values() if isinstance(v, click.Group)), None)
    if root is None:
        pytest.skip("there is no command line yet")

    listed = re.findall(r"^\| `(heartfly [^`]+)` \|", text_of("docs/cli.md"), re.MULTILINE)
    assert sorted(commands(root, "heartfly")) == sorted(listed)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    for target in told_in(page):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)

    assert [] == dead


def test_every_page_can_be_found_from_the_readme() -> None:
    linked = {target.partition("#")[0] for target in told_in(ROOT / "README.md")}

    assert [] == sorted(
        f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in linked
    )


def test_the_files_that_the_architecture_names_exist() -> None:
    named = set(re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", text_of("ARCHITECTURE.md")))
    built = {
        n for n in named if any((ROOT / "heartfly" / n.split("/")[0]).glob("*.py"))
    }  # rooms still to come: not yet

    assert [] == sorted(n for n in built if not (ROOT / "heartfly" / n).is_file())


def test_the_architecture_can_be_read_in_one_sitting() -> None:
    assert 150 >= len(text_of("ARCHITECTURE.md").splitlines())


def test_decisions_are_numbered_without_a_gap_and_say_what_a_decision_says() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert list(range(1, len(pages) + 1)) == [int(p.name[:4]) for p in pages]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(page.name[:4])}. "), page.name
        for part in ("**Context.**", "**Choice.**", "**Given up.**", "**We would notice we were wrong**"):
            assert part in text, f"{page.name} lacks {part}"


def test_every_task_of_the_makefile_explains_itself() -> None:
    text = text_of("Makefile")
    targets = re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)

    assert phony is not None
    assert targets == phony[1].split()
    assert targets == re.findall(r"^([a-z-]+):[^\n]*## \S", text, re.MULTILINE)


def _wishes() -> list[tuple[str, str]]:
    """The number of each wish, and its test."""
    rows = re.findall(r"^\| ([A-F]\d+) \|.*\| `(tests/[^`]+)` \|$", text_of("docs/wishes.md"), re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\| [A-F]\d+ \|", text_of("docs/wishes.md"), re.MULTILINE))
    return rows


def test_every_wish_of_the_field_has_its_row() -> None:
    wanted = [*(f"A{n}" for n in range(1, 11)), *(f"B{n}" for n in range(11, 20)), *(f"C{n}" for n in range(20, 25))]
    wanted += [*(f"D{n}" for n in range(25, 30)), *(f"E{n}" for n in range(30, 37)), *(f"F{n}" for n in range(1, 25))]

    assert wanted == [number for number, _ in _wishes()]


@pytest.mark.parametrize(("number", "test"), _wishes())
def test_the_test_that_holds_a_wish_exists(number: str, test: str) -> None:
    file, _, name = test.partition("::")
    path = ROOT / file

    assert path.is_file(), f"{number}: {file}"
    assert re.search(
        rf"^(async )?def {name}\(" if name else r"def test_", path.read_text(encoding="utf-8"), re.MULTILINE
    )
