"""Lists as PostgreSQL reads them: a column of one kind is written at once, as it is value by value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.db.lists import list_text

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]) | st.sampled_from('"\\\x1f,{}\n'))
INSTANTS = st.datetimes(timezones=st.just(UTC)) | st.just(datetime(2026, 3, 2, tzinfo=UTC))


@given(st.one_of(*(st.lists(kind, min_size=1) for kind in (TEXTS, INSTANTS, st.integers(), st.binary(max_size=20)))))
def test_a_column_of_one_kind_reads_as_each_of_its_values_does(values: Sequence[object]) -> None:
    by_value = list_text([*values, None])  # with something of another kind among them

    assert by_value == list_text(values)[:-1] + ",NULL}"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([], "{}"),
        ([""], '{""}'),
        (['a "b"', "c\\d", "NULL"], '{"a \\"b\\"","c\\\\d","NULL"}'),
        ([b"\x00\xff", b""], '{"\\\\x00ff","\\\\x"}'),
        ([datetime(2026, 3, 2, tzinfo=UTC)] * 5, "{" + ",".join(['"2026-03-02T00:00:00+00:00"'] * 5) + "}"),
        ([1, -2], "{1,-2}"),
        ([True, False], "{t,f}"),
    ],
)
def test_what_postgresql_reads(values: Sequence[object], told: str) -> None:
    assert told == list_text(values)
