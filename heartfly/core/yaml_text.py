"""YAML as we take it: texts, numbers, truths, lists and mappings, each with the line on which it stands.

Words are read as YAML 1.2 does: `on` and `no` are words, dates are texts. A key that stands twice is refused, and
aliases that would grow into more than a file can hold are, too. What the values mean is for others to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from heartfly.errors import InvalidValueError

MOST_CHARACTERS = 4_000_000
MOST_VALUES = 200_000
MOST_DEPTH = 60
_LONGEST_NUMBER = 40
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {word: word[0] in "tT" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_MERGE = "<<"
_TEXT = "tag:yaml.org,2002:str"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """`lines`: of each value by its path, counted from 1. Decimals are texts, so that no digit is lost."""

    value: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Of the value there, or of the nearest that holds it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def documents(text: str, *, field: str = "file") -> list[Document]:
    """All documents that are not empty. InvalidValueError names the line."""
    if len(text) > MOST_CHARACTERS:
        raise InvalidValueError(field, f"is longer than {MOST_CHARACTERS} characters")
    try:
        return [_Reader(field).document(node) for node in _composed(text)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InvalidValueError(field, f"{where}is no YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InvalidValueError(field, f"is no YAML: {' '.join(str(error).split())[:200]}") from None
    except (RecursionError, ValueError):
        raise InvalidValueError(field, "is no YAML: it is nested too deeply, or holds what is no text") from None


def _composed(text: str) -> Iterator[yaml.Node]:
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None and not (isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style):
                yield node
    finally:
        loader.dispose()


class _Reader:
    def __init__(self, field: str) -> None:
        self._field = field
        self._n = 0
        self._lines: dict[Path, int] = {}

    def document(self, node: yaml.Node) -> Document:
        return Document(self._value(node, ()), self._lines)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._n += 1
        line = node.start_mark.line + 1
        if self._n > MOST_VALUES or len(path) > MOST_DEPTH:
            # Also a node that holds itself by an alias ends here.
            raise InvalidValueError(self._field, f"line {line}: it grows without end, or is nested too deeply")
        self._lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(one, (*path, place)) for place, one in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # there are no other kinds
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise InvalidValueError(self._field, f"line {line}: a key must be a word")
            key = str(key_node.value)
            if key == _MERGE and not key_node.style:
                merged |= self._merged(value_node, path)
                continue
            if key in own:
                raise InvalidValueError(self._field, f"line {line}: {key[:60]!r} stands here twice")
            self._lines[(*path, key)] = line
            own[key] = self._value(value_node, (*path, key))
        return merged | own

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for one in reversed(nodes):  # the first of several wins
            value = self._value(one, path)
            if not isinstance(value, dict):
                line = one.start_mark.line + 1
                raise InvalidValueError(self._field, f"line {line}: << takes a mapping, or a list of them")
            found |= value
        return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if node.style or node.tag == _TEXT:
        return text
    if text in _NULL:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    if len(text) <= _LONGEST_NUMBER and _INT.fullmatch(text):
        return int(text)
    return text
