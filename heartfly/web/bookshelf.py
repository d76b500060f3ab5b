"""The documents that come with Heartfly, as it shows them offline: which there are, in which order, what links mean.

In a checkout they are docs/ itself, in an installed package its copy. Each is rendered when it is first asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath

from heartfly.web.markdown import Document, Heading, document

GROUPS = {
    "Begin": (
        "install",
        "try-it-with-cron",
        "healthchecks",
        "other-clients",
        "email-pings",
        "pages",
        "api-tour",
        "calls-walk",
    ),
    "Use": (
        "life-of-a-check",
        "gates",
        "tolerance",
        "causes",
        "learned",
        "service-levels",
        "run",
        "import",
        "daily-job-in-bash",
        "alerts",
        "channels",
        "webhooks",
        "api",
        "cli",
        "as-code",
    ),
    "Usage": (
        "usage",
        "usage-clients",
        "access-logs",
        "requests",
        "traffic",
        "otlp",
        "meters",
        "daily-aggregation",
        "alert-rules",
    ),
    "Operate": (
        "configuration",
        "systemd",
        "reverse-proxies",
        "operations",
        "backup",
        "upgrade",
        "jobs",
        "metrics",
        "scale",
        "performance",
    ),
    "Judge": ("proof", "security", "asvs", "supply-chain"),
    "Look up": ("glossary", "changelog", "wishes", "config-example"),
}
"""By their names in addresses. What has no place here stands under `More`."""
MORE, DECISIONS = "More", "Decisions"
_BESIDE = {"CHANGELOG.md": "changelog", "config.example.toml": "config-example"}
"""Files beside docs/ that are shown, too."""
_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hit:
    """A heading that fits, and the document that it is in. The document's own title has no anchor."""

    name: str
    title: str
    heading: Heading


class Bookshelf:
    """`root`: what the addresses of pages begin with."""

    def __init__(self, root: str) -> None:
        self._here = f"{root}/docs"
        self._texts = dict(_read())
        self._titles = {name: _first_heading(text) for name, text in self._texts.items()}
        self._made: dict[str, Document] = {}
        self.groups = self._grouped()

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._texts)

    def title(self, name: str) -> str:
        return self._titles[name]

    def get(self, name: str) -> Document | None:
        """For any thread; two that make one at once make the same."""
        if name not in self._texts:
            return None
        if name not in self._made:
            self._made[name] = document(self._texts[name], link=lambda target: self._link(name, target))
        return self._made[name]

    def find(self, words: str) -> Sequence[Hit]:
        """Headings that have all of the words; those of titles first."""
        wanted = words.lower().split()
        hits = [hit for hit in self._headings() if all(word in hit.heading.text.lower() for word in wanted)]
        return sorted(hits, key=lambda hit: hit.heading.level)

    def image(self, name: str) -> tuple[bytes, str] | None:
        """Content and media type."""
        path = _folder() / "images" / name
        kind = _KINDS.get(path.suffix)
        if kind is None or path.name != name or not path.is_file():
            return None
        return path.read_bytes(), kind

    def _headings(self) -> Iterator[Hit]:
        for names in self.groups.values():
            for name in names:
                found = self.get(name)
                assert found is not None
                for heading in found.headings:
                    yield Hit(name, found.title, heading)

    def _grouped(self) -> Mapping[str, Sequence[str]]:
        decisions = tuple(name for name in self._texts if "/" in name)
        placed = {name for names in GROUPS.values() for name in names}
        groups = {title: tuple(name for name in names if name in self._texts) for title, names in GROUPS.items()}
        groups[MORE] = tuple(name for name in self._texts if name not in placed and "/" not in name)
        groups[DECISIONS] = decisions
        return {title: names for title, names in groups.items() if names}

    def _link(self, name: str, target: str) -> str:
        """Where a link of this document leads among the pages. What is not shown here stays as it is written."""
        if _ELSEWHERE.match(target) or target.startswith("#"):
            return target
        path, _, anchor = target.partition("#")
        folder = "docs/" + (name.rpartition("/")[0] + "/" if "/" in name else "")
        path = normpath(folder + path) if name != "changelog" else normpath(path)
        found = self._address(path)
        return target if found is None else found + (f"#{anchor}" if anchor else "")

    def _address(self, path: str) -> str | None:
        if path == "README.md":
            return self._here
        if path in _BESIDE:
            return f"{self._here}/{_BESIDE[path]}"
        inside = path.removeprefix("docs/")
        if inside.startswith("images/") or inside.removesuffix(".md") in self._texts:
            return f"{self._here}/{inside.removesuffix('.md')}"
        return None


def _folder() -> Path:
    package = Path(__file__).parent.parent
    shipped = package / "_docs"
    return shipped if shipped.is_dir() else package.parent / "docs"


def _read() -> Iterator[tuple[str, str]]:
    """Names as addresses have them, and Markdown."""
    folder = _folder()
    for path in sorted([*folder.glob("*.md"), *folder.glob("decisions/*.md")]):
        name = str(path.relative_to(folder).with_suffix(""))
        if path.name not in _BESIDE:
            yield name, path.read_text(encoding="utf-8")
    for file, name in _BESIDE.items():
        path = folder / file if (folder / file).is_file() else folder.parent / file
        text = path.read_text(encoding="utf-8")
        yield name, text if path.suffix == ".md" else f"# {file}\n\n```\n{text.rstrip()}\n```\n"


def _first_heading(text: str) -> str:
    return next(line.removeprefix("# ").strip() for line in text.splitlines() if line.startswith("# "))
