from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "heartfly"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)
LINES = 400

# Each with its reason; a file that no longer needs to be here fails the test below.
EXCUSED: dict[str, str] = {
    "heartfly/core/check.py": "everything that can change a status stands in one file",
}

FORBIDDEN = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "service",
    "services",
    "manager",
    "managers",
    "base2",
}


def names(paths: list[Path]) -> list[str]:
    return [str(p.relative_to(ROOT)) for p in paths]


def test_imports_keep_to_the_contracts() -> None:
    if importlib.util.find_spec("importlinter") is None:
        if os.environ.get("HEARTFLY_REQUIRE_ALL"):
            pytest.fail("import-linter is missing: pip install -e '.[dev]'")
        pytest.skip("import-linter is missing: pip install -e '.[dev]'")

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_every_module_opens_with_its_sign() -> None:
    unsigned = [p for p in MODULES if not (ast.get_docstring(ast.parse(p.read_text(encoding="utf-8"))) or "").strip()]

    assert [] == names(unsigned)


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    long = [p for p in MODULES if len(p.read_text(encoding="utf-8").splitlines()) > LINES]

    assert sorted(EXCUSED) == names(long)


def test_no_module_has_a_name_that_says_nothing() -> None:
    bad = [
        p for p in [*MODULES, *PACKAGE.rglob("*/")] if p.stem in FORBIDDEN or p.stem.endswith(("_utils", "_helpers"))
    ]

    assert [] == names(bad)


def test_every_directory_of_code_is_a_package() -> None:
    bare = {p.parent for p in MODULES} - {p.parent for p in MODULES if p.name == "__init__.py"}

    assert [] == names(sorted(bare))


def test_the_migrations_do_not_shadow_the_library() -> None:
    assert [] == names(list((ROOT / "alembic").rglob("__init__.py")))


def test_nothing_asks_whether_it_is_being_tested() -> None:
    asking = [
        p for p in MODULES if any(w in p.read_text(encoding="utf-8") for w in ("PYTEST_", "sys.modules", "TESTING"))
    ]

    assert [] == names(asking)
