"""How deep JSON nests is known before it is decoded."""

from __future__ import annotations

import json

import pytest

from heartfly.core.nesting import MAX_DEPTH, too_deep


def nested(depth: int, kind: str) -> bytes:
    begins, ends = {"lists": ("[", "]"), "objects": ('{"a":', "}"), "both": ('[{"a":', "}]")}[kind]
    depth //= len(begins.replace('"a":', ""))
    return (begins * depth + "1" + ends * depth).encode()


@pytest.mark.parametrize("kind", ["lists", "objects", "both"])
def test_the_deepest_is_fine_and_a_step_more_is_not(kind: str) -> None:
    assert not too_deep(nested(MAX_DEPTH, kind))
    assert too_deep(nested(MAX_DEPTH + 2, kind))


def test_forty_thousand_brackets_are_too_deep_closed_or_not() -> None:
    assert too_deep(b"[" * 40_000)
    assert too_deep(b"[" * 40_000 + b"]" * 40_000)


@pytest.mark.parametrize(
    "text", ["[" * 99, "{[" * 99, '"' + "[" * 99, "\\" * 3 + "[" * 99, "\N{FULLWIDTH LEFT SQUARE BRACKET}" * 99]
)
def test_brackets_within_a_text_do_not_nest(text: str) -> None:
    assert not too_deep(json.dumps({text: [text, text]}, ensure_ascii=False).encode())


def test_width_is_no_depth() -> None:
    assert not too_deep(json.dumps([[{}], [[]], {"a": {}}] * 20_000).encode())
    assert not too_deep(b"")
