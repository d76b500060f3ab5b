from __future__ import annotations

from datetime import timedelta

from heartfly.notify.folding import MAX_MESSAGES, Plan, Recent, plan
from tests.notify.examples import at

MINUTE = timedelta(minutes=1)
NOBODY = Recent()


def sources(n: int, each: int = 1) -> dict[str, list[int]]:
    return {f"check:{i}": [each * i + k for k in range(each)] for i in range(n)}


def planned(
    waiting: dict[str, list[int]], recent: Recent = NOBODY, *, most_named: int = 30, now: str = "03:00"
) -> Plan:
    return plan(waiting, recent, now=at(now), window=MINUTE, threshold=10, most_named=most_named)


def test_few_alerts_are_a_message_for_each_source() -> None:
    assert planned(sources(5, each=2)) == Plan(messages=([0, 1], [2, 3], [4, 5], [6, 7], [8, 9]))


def test_one_alert_over_the_threshold_makes_one_message_of_all() -> None:
    assert planned(sources(11)) == Plan(messages=[list(range(11))], folded=True)


def test_what_was_sent_within_the_window_counts() -> None:
    recent = Recent(n_alerts=10, last_at=at("02:59:59"))

    assert planned(sources(1), recent) == Plan(messages=[[0]], folded=True)


def test_a_storm_that_goes_on_waits_for_half_a_window() -> None:
    recent = Recent(n_alerts=11, last_at=at("02:59:40"))

    assert planned(sources(1), recent) == Plan(hold_until=at("03:00:10"))
    assert planned(sources(1), recent, now="03:00:09") == Plan(hold_until=at("03:00:10"))
    assert planned(sources(1), recent, now="03:00:10") == Plan(messages=[[0]], folded=True)


def test_a_fold_is_cut_so_that_each_check_is_named() -> None:
    folded = planned(sources(25), most_named=10)

    assert [10, 10, 5] == [len(message) for message in folded.messages]


def test_a_fold_too_large_to_name_all_is_one_message() -> None:
    assert MAX_MESSAGES == len(planned(sources(MAX_MESSAGES * 10), most_named=10).messages)
    assert [list(range(MAX_MESSAGES * 10 + 1))] == planned(sources(MAX_MESSAGES * 10 + 1), most_named=10).messages


def test_alerts_of_a_fold_are_in_the_order_in_which_they_were_decided() -> None:
    waiting = {"check:1": [1, 14], **{f"check:{i}": [i] for i in range(2, 13)}}

    assert [[*range(1, 13), 14]] == planned(waiting).messages


def test_nothing_waiting_is_nothing_to_send() -> None:
    assert planned({}) == Plan(messages=())
