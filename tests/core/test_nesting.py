"""How deep JSON nests is known before it is decoded."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from heartfly.core.nesting import MAX_DEPTH, lines_too_many, too_deep, too_many


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


def test_values_are_counted_outside_of_texts_only() -> None:
    some = b'{"a": [1, 2, {"b": ",,,,[[[[{{{{"}], "c\\",,,": "\\\\"}'

    assert [False, True] == [too_many(some, most) for most in (6, 5)]  # two objects, a list, three commas


def test_a_text_that_a_line_leaves_open_hides_no_value_of_the_next() -> None:
    lines = b'"\n[1, 2]\n\n{"a": ",,,"}'

    assert [False, True] == [lines_too_many(lines, most) for most in (3, 2)]  # a list, an object, a comma


def test_to_count_four_mib_takes_no_time() -> None:
    before = time.process_time()
    assert too_many(b"0," * 2_000_000, 300_000)
    assert not too_many(b'["' + b",[{" * 1_300_000 + b'"]', 300_000)
    assert time.process_time() - before < 1


@pytest.mark.parametrize("before", [64 * 1024 - n for n in range(4)])
def test_a_text_that_goes_on_in_the_next_piece_is_one(before: int) -> None:
    text = b'"' + b"a" * (before - 2) + b'[\\"[", [' + b'"[", ' * 40_000

    assert [False, True] == [too_deep(text + ends) for ends in (b"0]", b"[" * 40)]
    assert not too_many(text, 40_002)


def test_many_short_texts_take_little_memory() -> None:
    many = b"[" * 33 + b'"aa",  ' * 150_000
    tracemalloc.start()
    assert too_deep(many)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 6 * 1024 * 1024 > most
