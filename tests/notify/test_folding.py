from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.notify.folding import MAX_MESSAGES, Fold, Recent, can_name_all, cut, fold
from tests.notify.examples import at


def folded(n_waiting: int, recent: Recent | None = None, *, now: str = "03:00") -> Fold:
    return fold(n_waiting, recent or Recent(), now=at(now), window=timedelta(minutes=1), threshold=10)


def test_few_alerts_are_a_message_for_each_source() -> None:
    assert Fold.APART == folded(0)
    assert Fold.APART == folded(10)


def test_one_alert_over_the_threshold_makes_one_message_of_all() -> None:
    assert Fold.TOGETHER == folded(11)


def test_what_was_sent_within_the_window_counts() -> None:
    assert Fold.APART == folded(1, Recent(n_alerts=9, last_at=at("02:59:59")))
    assert Fold.TOGETHER == folded(1, Recent(n_alerts=10, last_at=at("02:59:59")))


@pytest.mark.parametrize(
    ("now", "expected"), [("03:00", Fold.LATER), ("03:00:09", Fold.LATER), ("03:00:10", Fold.TOGETHER)]
)
def test_a_storm_that_goes_on_waits_for_half_a_window(now: str, expected: Fold) -> None:
    assert expected == folded(1, Recent(n_alerts=11, last_at=at("02:59:40")), now=now)


def test_a_fold_that_few_messages_can_name_is_cut() -> None:
    sources = [[n] for n in range(25)]

    assert can_name_all(25, most_named=10)
    assert [10, 10, 5] == [len(message) for message in cut(sources, most_named=10)]
    assert can_name_all(MAX_MESSAGES * 10, most_named=10)
    assert not can_name_all(MAX_MESSAGES * 10 + 1, most_named=10)


def test_alerts_of_a_message_are_in_the_order_in_which_they_were_decided() -> None:
    assert [[1, 2, 3, 14], [4]] == cut([[1, 14], [2], [3], [4]], most_named=3)
