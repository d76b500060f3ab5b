"""Paths of requests without what tells one thing from another: `/users/17/orders` → `/users/{id}/orders`.

Whole segments only: a word with digits in it (`2fa`, `3d-models`) is a word. Route templates come first, then the
user's own rules, then what looks like an identifier. The same code is in `heartfly-client`, so nothing but the
standard library is used here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from urllib.parse import unquote

VERSION = 1
"""Of what is built in. Another one may say otherwise of a path, and is told by `Rules.version`."""
ID, EMAIL, DATE = "{id}", "{email}", "{date}"
_REMEMBERED = 65_536
_WORTH_KEEPING = 256
"""Characters: what is longer is not remembered."""


class PathRuleError(ValueError):
    """A rule that cannot be read; the text says which line, and why."""


# --- what an identifier looks like


_INTEGER = re.compile(r"-?\d+", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_ULID = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}", re.ASCII | re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]{24,}", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?(?:T\d\d:?\d\d[0-9:.Z+-]{0,20})?", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,200}@[^@\s]{1,200}\.[a-z]{2,24}", re.ASCII | re.IGNORECASE)
_TOKEN = re.compile(r"[0-9a-z_-]{20,}|[a-z]{2,8}_[0-9a-z]{14,}", re.ASCII | re.IGNORECASE)
_PIECE = re.compile(r"[0-9a-zA-Z]{12,}", re.ASCII)
_CHANGE = re.compile(r"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[0-9]|(?<=[0-9])[a-zA-Z]|(?<=[A-Z][A-Z])[a-z]", re.ASCII)
_ENDING = re.compile(r"([^.]+)(\.[a-zA-Z][0-9a-zA-Z]{0,4})", re.ASCII)
_MOST_CHANGES_OF_WORDS = 3


def _kind(text: str) -> str | None:
    """What stands in place of an identifier; None: it is a word."""
    if _INTEGER.fullmatch(text) or _UUID.fullmatch(text) or _ULID.fullmatch(text) or _HEX.fullmatch(text):
        return ID
    if _DATE.fullmatch(text):
        return DATE
    return ID if _TOKEN.fullmatch(text) and _is_random(text) else None


def _is_random(token: str) -> bool:
    """Has digits, and letters and digits take turns more often than in words: `Report2024Final` has three turns."""
    if not any(c.isdigit() for c in token):
        return False
    if 4 * len(_CHANGE.findall(token)) >= len(token):
        return True
    return any(len(_CHANGE.findall(piece)) > _MOST_CHANGES_OF_WORDS for piece in _PIECE.findall(token))


def _segment(text: str) -> str:
    plain = unquote(text) if "%" in text else text
    if _EMAIL.fullmatch(plain):
        return EMAIL
    if (kind := _kind(plain)) is not None:
        return kind
    # An identifier with a file's ending keeps the ending.
    if (found := _ENDING.fullmatch(plain)) is not None and (kind := _kind(found[1])) is not None:
        return kind + found[2]
    return text


_kept_segment = lru_cache(_REMEMBERED // 2)(_segment)


# --- rules of the user


@dataclass(frozen=True, slots=True)
class Template:
    """A route as its framework names it. `pieces`: a text that a segment must be, None for one that may be anything.

    `is_open`: whatever follows belongs to it.
    """

    text: str
    pieces: tuple[str | None, ...]
    is_open: bool = False

    def fits(self, segments: list[str]) -> bool:
        n = len(self.pieces)
        if len(segments) < n or (len(segments) > n and not self.is_open):
            return False
        return all(
            piece == segment if piece is not None else segment
            for piece, segment in zip(self.pieces, segments, strict=False)
        )


@dataclass(frozen=True, slots=True)
class SegmentRule:
    """`put`: what stands in place of a segment that is `pattern` as a whole; None: it stays as it is."""

    pattern: re.Pattern[str]
    put: str | None


@dataclass(frozen=True)
class Rules:
    """Templates before segments; of templates the one that fixes more, earlier. `version` tells sets apart."""

    templates: tuple[Template, ...] = ()
    segments: tuple[SegmentRule, ...] = ()
    version: str = str(VERSION)
    _known: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def normal(self, path: str) -> str:
        """Of a path as it was asked for, with or without a query, or of a whole address. The same of its own answer."""
        found = self._known.get(path)
        if found is None:
            found = self._normal(path)
            if len(path) <= _WORTH_KEEPING:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[path] = found
        return found

    def _normal(self, path: str) -> str:
        path = plain_path(path)
        if "//" in path:
            path = _SLASHES.sub("/", path)
        if not path.startswith("/"):
            return path
        first, *segments = path.split("/")
        for template in self.templates:
            if template.text == path or template.fits(segments):
                return template.text
        of_segment = self._of_segment if self.segments or len(path) > _WORTH_KEEPING else _known_segment
        return "/".join([first, *map(of_segment, segments)])

    def _of_segment(self, segment: str) -> str:
        if segment.startswith("{") and segment.endswith("}"):
            return segment  # it is normal already
        for rule in self.segments:
            if rule.pattern.fullmatch(segment):
                return segment if rule.put is None else rule.put
        return _kept_segment(segment) if len(segment) <= _WORTH_KEEPING else _segment(segment)


def _known_segment(segment: str) -> str:
    """Numbers are most of what is seen once and never again: they need no room in what is remembered."""
    return ID if segment.isdecimal() and segment.isascii() else _kept_segment(segment)


_SLASHES = re.compile("/{2,}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^/?#]*", re.ASCII | re.IGNORECASE)


def plain_path(target: str) -> str:
    """Without query and fragment, and of a whole address only the path."""
    for mark in "?#":
        if mark in target:
            target = target[: target.index(mark)]
    if not target.startswith("/") and (found := _ADDRESS.match(target)):
        return target[found.end() :] or "/"
    return target


def normal(path: str) -> str:
    """By what is built in alone."""
    return BUILT_IN.normal(path)


# --- how rules are written


_PARAMETER = re.compile(r"\{[^{}/]*\}|:[A-Za-z_]\w*|<[^<>/]+>|\*")
_OPEN = re.compile(r"\{\*?[^{}/:]*(?::path|\.\.\.)\}|<path:[^<>/]+>|\*\*|\{\*[^{}/]*\}")


_IS_PART = re.compile("[{}<>*]")


def _is_parameter(piece: str) -> bool:
    return _PARAMETER.fullmatch(piece) is not None or _OPEN.fullmatch(piece) is not None


def template_of(text: str) -> Template:
    """`/users/{id}`, `/users/{id:int}`, `/users/:id`, `/users/<int:id>`; an open end is `{rest...}` or `{rest:path}`.

    PathRuleError.
    """
    if not text.startswith("/"):
        raise PathRuleError(f"{text} must begin with /")
    pieces = text[1:].split("/")
    is_open = _OPEN.fullmatch(pieces[-1]) is not None
    if any(_OPEN.fullmatch(piece) for piece in pieces[:-1]):
        raise PathRuleError(f"{text}: only the last segment can be an open end")
    if any(_IS_PART.search(piece) and not _is_parameter(piece) for piece in pieces):
        raise PathRuleError(f"{text}: a parameter is a whole segment")
    return Template(
        text,
        tuple(None if _is_parameter(piece) else piece for piece in pieces),
        is_open,
    )


def rules_of(lines: Iterable[str]) -> Rules:
    """A rule a line; empty lines and those that begin with # are none.

    `/users/{name}` is a route template. `sku-* {sku}` puts `{sku}` for a segment that is `sku-` and anything;
    `iPhone* =` lets it stay. `*` is any text, `?` one character. PathRuleError.
    """
    templates: list[Template] = []
    segments: list[SegmentRule] = []
    said: list[str] = []
    for n, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            _read(words, templates, segments)
        except PathRuleError as error:
            raise PathRuleError(f"line {n}: {error}") from None
        said.append(" ".join(words))
    if not said:
        return Rules()
    # Those that fix more of the path first, and fix it earlier; of equals the order in which they were given.
    templates.sort(key=lambda one: (one.is_open, [piece is None for piece in one.pieces]))
    told = hashlib.blake2b("\n".join(said).encode(), digest_size=4).hexdigest()
    return Rules(tuple(templates), tuple(segments), f"{VERSION}-{told}")


def _read(words: list[str], templates: list[Template], segments: list[SegmentRule]) -> None:
    if words[0].startswith("/") and len(words) == 1:
        templates.append(template_of(words[0]))
    elif len(words) == 2 and not any("/" in word for word in words):
        segments.append(_segment_rule(*words))
    else:
        raise PathRuleError("is neither a route, such as /users/{id}, nor a segment's rule, such as sku-* {sku}")


def _segment_rule(pattern: str, put: str) -> SegmentRule:
    if put != "=" and not (put.startswith("{") and put.endswith("}") and len(put) > 2):
        raise PathRuleError(f"{put} must be = or a name in braces, such as {{sku}}")
    return SegmentRule(re.compile(translate(pattern)), None if put == "=" else put)


BUILT_IN = Rules()
