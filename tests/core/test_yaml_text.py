"""YAML is read as texts, numbers, truths, lists and mappings, with their lines; what is hostile in it ends soon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.yaml_text import MOST_CHARACTERS, documents
from heartfly.errors import InvalidValueError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: on", {"a": "on"}), ("on: {schedule: no}", {"on": {"schedule": "no"}}), ("a: 0640", {"a": "0640"}),
        ("a: 12", {"a": 12}), ("a: -3", {"a": -3}), ("a: 1.50", {"a": "1.50"}), ("a: '12'", {"a": "12"}),
        ("a: true", {"a": True}), ("a: !!str 12", {"a": "12"}), ("a: 2026-03-01", {"a": "2026-03-01"}),
        ("a:", {"a": None}), ("- 1\n- ~", [1, None]), ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("b: &b {x: 1, y: 2}\na: {<<: *b, y: 3}", {"b": {"x": 1, "y": 2}, "a": {"x": 1, "y": 3}}),
    ],
)  # fmt: skip
def test_words_are_read_as_they_stand(text: str, value: object) -> None:
    assert [value] == [one.value for one in documents(text)]


def test_each_value_knows_its_line() -> None:
    one, two = documents("a:\n  - x: 1\n    y: 2\n---\nb: 3\n")

    assert (3, 2, 1) == (one.line(("a", 0, "y")), one.line(("a", 0)), one.line(("none",)))
    assert 5 == two.line(("b", "deeper", 7))


def test_documents_without_anything_in_them_are_none() -> None:
    assert [] == documents("")
    assert [{"a": 1}] == [one.value for one in documents("---\n---\na: 1\n---\n# nothing\n")]


_LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
_MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "line 1"), ("a: 1\na: 2", "line 2: 'a' stands here twice"), ("? [a]\n: 1", "a key must be a word"),
        (_LAUGHS, "grows without end"), (_MERGES, "grows without end"), ("a: &a [*a]", "grows without end"),
        ("[" * 5_000, ""), ("x" * (MOST_CHARACTERS + 1), "is longer"), ("a: {<<: 3}", "takes a mapping"),
        ("[a]\nb = 1", "line 2: is no YAML: "), ("a: *none", "undefined alias"),
        ("a: \x00", ""), ("a: \ud800", ""), ("\t- a", "line 1"),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_none_is_said_with_its_line(text: str, said: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        documents(text, field="heartfly.yaml")

    assert "heartfly.yaml" == caught.value.field
    assert said in caught.value.message


def test_a_tag_makes_nothing() -> None:
    assert [{"a": "os.system"}] == [one.value for one in documents("a: !!python/name 'os.system'")]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = documents(text)
    except InvalidValueError:
        return
    assert all(one.line(()) >= 1 for one in found)
