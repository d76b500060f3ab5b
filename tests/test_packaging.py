from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES = [Requirement(r) for r in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(r) for r in listed] for name, listed in PROJECT["optional-dependencies"].items()}
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def run(*words: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, limit: float = 300) -> str:
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, env=env, capture_output=True, text=True, timeout=limit, check=False
    )
    assert 0 == done.returncode, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def without_coverage() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_", "PYTHONPATH", "VIRTUAL_ENV"))}


# --- what is needed, and the lock


def test_direct_dependencies_stay_few() -> None:
    assert 25 >= len(DEPENDENCIES)


def test_the_lock_holds_every_dependency_at_a_version_that_is_allowed() -> None:
    locked = {canonicalize_name(n): v for n, v in re.findall(r"^([\w.\-]+)==(\S+)", LOCK, re.MULTILINE)}

    for wanted in [*DEPENDENCIES, *EXTRAS["postgres"], *EXTRAS["otlp"]]:
        assert canonicalize_name(wanted.name) in locked, f"{wanted} is not locked: make lock"
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), f"{wanted}: make lock"


def test_the_lock_has_hashes_for_all_and_addresses_for_none() -> None:
    entries = re.findall(r"^[\w.\-]+==[^\n]*(?:\n    --hash[^\n]*)*", LOCK, re.MULTILINE)

    assert [] == [e for e in entries if "--hash=sha256:" not in e]
    assert not re.search(r"://|--(extra-)?index|--find-links", LOCK)


def imported_by(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], str(path)) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                yield node.module.partition(".")[0], str(path)


@pytest.mark.parametrize(
    ("folder", "declared"),
    [
        ("heartfly", [*DEPENDENCIES, *EXTRAS["postgres"], *EXTRAS["otlp"], *EXTRAS["brotli"], *EXTRAS["smtp"]]),
        ("tests", [*DEPENDENCIES, *EXTRAS["test"], *EXTRAS["browser"]]),
    ],
)
def test_whatever_is_imported_is_declared(folder: str, declared: list[Requirement]) -> None:
    ours = {"heartfly", "heartfly_client", "tests", "bench", *sys.stdlib_module_names}
    ours |= {p.stem for p in (ROOT / folder).rglob("*.py")}  # test files import one another by their bare names
    ours |= {"atheris"}  # of `make fuzz` alone, which says so: it has wheels for few platforms
    named = {canonicalize_name(r.name) for r in declared}
    # These come with what is declared, and are part of its interface.
    named |= {
        canonicalize_name(n)
        for n in ("click", "packaging", "pluggy", "anyio", "httptools", "uvloop", "rich", "markupsafe", "corehttp")
    }
    providers = importlib.metadata.packages_distributions()

    undeclared = {
        f"{module} in {where}"
        for module, where in imported_by(ROOT / folder)
        if module not in ours and not named & {canonicalize_name(d) for d in providers.get(module, [module])}
    }

    assert set() == undeclared


# What `pip install .` brings. The machine of the tests has the extras, too, so they are hidden from the child.
WITHOUT_EXTRAS = """
import importlib, pkgutil, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[1:]:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Hidden())
import heartfly.cli.serve
for module in pkgutil.walk_packages(heartfly.__path__, "heartfly."):
    if "alembic" not in module.name and not module.name.endswith((".__main__", ".smtp")):
        importlib.import_module(module.name)
print("all are there")
"""


def test_without_any_extra_the_server_and_all_of_its_commands_can_be_imported() -> None:
    optional = {"postgres", "apprise", "pdf", "parquet", "brotli", "smtp", "otlp"}
    theirs = {canonicalize_name(r.name) for name in optional for r in EXTRAS[name]}
    providers = importlib.metadata.packages_distributions()
    hidden = [m for m, found in providers.items() if theirs & {canonicalize_name(d) for d in found} and m != "google"]

    said = run(sys.executable, "-c", WITHOUT_EXTRAS, *hidden)

    assert ("psycopg" in hidden, "all are there") == (True, said.strip())


# --- the README's words, and CI


def test_the_readme_s_two_commands_are_the_ones_that_ci_runs() -> None:
    serve = run(sys.executable, ".ci/readme_command.py", "serve").strip()
    test = run(sys.executable, ".ci/readme_command.py", "test").strip()

    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/heartfly serve" == serve
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest" == test
    assert ".ci/readme_command.py test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_ci_is_a_script_that_bash_understands() -> None:
    run("bash", "-n", ".ci/run")


@pytest.mark.parametrize(
    ("covered", "told"),
    [
        (100.0, []),
        (99.9, ["heartfly/core/schedule.py: not taken: lines 7; branches 7->9"]),
    ],
)
def test_the_coverage_gate_opens_only_for_whole_files(tmp_path: Path, covered: float, told: list[str]) -> None:
    names = [str(p.relative_to(ROOT)) for p in (ROOT / "heartfly").rglob("*.py")]
    whole: dict[str, object] = {"summary": {"percent_covered": 100.0}, "missing_lines": [], "missing_branches": []}
    report = {"files": dict.fromkeys(names, whole)}
    report["files"]["heartfly/core/schedule.py"] = {
        "summary": {"percent_covered": covered},
        "missing_lines": [7],
        "missing_branches": [[7, 9]],
    }
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, ".ci/coverage_gate.py", tmp_path / "report.json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert [f"coverage: {t}" for t in told] == done.stdout.splitlines()
    assert (1 if told else 0) == done.returncode


def test_the_coverage_gate_misses_a_file_that_no_test_loads(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"files": {}}', encoding="utf-8")

    done = subprocess.run(
        [sys.executable, ".ci/coverage_gate.py", tmp_path / "report.json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 1 == done.returncode
    assert "coverage: heartfly/core/check.py: never loaded by any test" in done.stdout.splitlines()


# --- the wheel and the image


def a_copy_of_the_sources(target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    for name in (
        "pyproject.toml", "README.md", "LICENSE", "requirements.lock", "CHANGELOG.md", "config.example.toml",
    ):  # fmt: skip
        shutil.copy(ROOT / name, target / name)
    for name in ("heartfly", "alembic", "docs"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def test_the_wheel_carries_the_migrations_the_documents_and_no_test(tmp_path: Path) -> None:
    sources = a_copy_of_the_sources(tmp_path / "src")

    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, sources, env=without_coverage())

    (wheel,) = tmp_path.glob("heartfly-*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    migrations = {f"heartfly/_alembic/{p.relative_to(ROOT / 'alembic')}" for p in (ROOT / "alembic").rglob("*.py")}
    assert set() == migrations - set(held)
    assert "heartfly/config/settings.py" in held
    documents = {f"heartfly/_docs/{p.relative_to(ROOT / 'docs')}" for p in (ROOT / "docs").rglob("*.*")}
    documents |= {"heartfly/_docs/CHANGELOG.md", "heartfly/_docs/config.example.toml"}
    assert set() == documents - set(held)
    assert [] == [name for name in held if name.startswith(("tests/", "alembic/"))]
    assert [] == [name for name in held if name.endswith("_alembic/__init__.py")]


@pytest.mark.slow
def test_whoever_builds_the_wheel_anew_gets_the_same_bytes(tmp_path: Path) -> None:
    once, built = a_copy_of_the_sources(tmp_path / "once"), {}
    for folder, mask in (("here", 0o022), ("somewhere/else", 0o077)):
        sources = shutil.copytree(once, tmp_path / folder / "src")
        for path in sources.rglob("*"):
            os.utime(path, (mask * 1_000_000, mask * 1_000_000))
            path.chmod(0o777 & ~mask if path.is_dir() else 0o666 & ~mask)
        env = without_coverage() | {"SOURCE_DATE_EPOCH": "1767225600"}
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path / folder, sources, env=env)
        (wheel,) = (tmp_path / folder).glob("heartfly-*.whl")
        built[folder] = hashlib.sha256(wheel.read_bytes()).hexdigest()

    assert built["here"] == built["somewhere/else"]


def test_the_image_takes_nothing_whose_hash_is_not_in_the_lock() -> None:
    installed = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]

    assert ["--require-hashes -r requirements.lock", "--no-deps ."] == [
        re.sub(r"^\S+ install --no-cache-dir ", "", words) for words in installed
    ]


def test_the_client_installs_alone_and_needs_nothing_of_the_server(tmp_path: Path) -> None:
    # As links into the server's folder are followed, nothing is left of them in the wheel.
    copy = shutil.copytree(ROOT / "clients" / "python", tmp_path / "src", symlinks=False)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, copy, env=without_coverage())
    (wheel,) = tmp_path.glob("heartfly_client-*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv", env=without_coverage())
    python = tmp_path / "venv" / "bin" / "python"

    run(python, "-m", "pip", "install", "-q", "--no-index", wheel, cwd=tmp_path, env=without_coverage())

    script = (
        "import heartfly_client as h, importlib.metadata as m, sys\n"
        "r = h.Recorder(sys.argv[1], h.Target('http://127.0.0.1:9', 'k'), tell=lambda _: None)\n"
        "h.ASGIRecorder(None, r), h.WSGIRecorder(None, r)\n"
        "print(sorted(d.name for d in m.distributions()), 'heartfly' in sys.modules)"
    )
    said = run(python, "-I", "-c", script, tmp_path / "queue", cwd=tmp_path, env=without_coverage())
    assert "['heartfly-client', 'pip', 'setuptools'] False" == said.strip().replace("_", "-")


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    kept = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in kept)]


def test_the_image_runs_unprivileged_with_a_health_check_and_data_in_a_volume() -> None:
    last_stage = instructions()[max(i for i, (word, _) in enumerate(instructions()) if word == "FROM") :]
    told = dict(last_stage)

    assert told["USER"].split(":")[0] not in {"", "0", "root"}
    assert "/healthz" in told["HEALTHCHECK"]
    assert "/data" == told["VOLUME"]
    assert '["heartfly", "serve"]' == told["CMD"]


def test_the_run_lines_of_the_dockerfile_work_in_an_empty_directory(tmp_path: Path) -> None:
    """No image is built: there is no engine here. The lines run one by one, with `/` moved into a directory."""

    def inside(words: str) -> str:
        moved = re.sub(r"(?<![\w./])/(opt|data|src)\b", rf"{tmp_path}/\1", words)
        return re.sub(r"^python ", f"{sys.executable} ", moved)

    at = tmp_path
    n_run = 0
    for word, rest in instructions():
        if word == "WORKDIR":
            at = Path(inside(rest))
            at.mkdir(parents=True, exist_ok=True)
        elif word == "COPY" and "--from" not in rest:
            *sources, target = rest.split()
            for source in sources:
                into = at / target / (source if target == "./" else "")
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, at / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, into)
        elif word == "COPY":
            # The second stage takes what the first has made: it must be there by now.
            assert Path(inside(rest.split()[-1])).exists(), rest
        elif word == "RUN":
            # pip would compile all that it installs, which is half of its work and nothing that is looked at here.
            run("sh", "-ec", inside(rest), cwd=at, env=without_coverage() | {"PIP_NO_COMPILE": "false"})
            n_run += 1

    assert 4 == n_run
    python = tmp_path / "opt" / "heartfly" / "bin" / "python"
    run(python, "-c", "import heartfly, heartfly.config as c; c.load(None, {})", cwd=tmp_path, env=without_coverage())
    where = run(python, "-c", "import heartfly; print(heartfly.__file__)", cwd=tmp_path, env=without_coverage())
    assert where.startswith(str(tmp_path / "opt" / "heartfly" / "lib"))
    assert (python.parent / "heartfly").is_file()
