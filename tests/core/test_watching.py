"""What is wrong with another Heartfly is said in sentences; what may be is inclusive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from heartfly.core.watching import Bounds, what_is_wrong

WELL: dict[str, Any] = {
    "status": "ready",
    "reasons": [],
    "watermark_lag_s": 30.0,
    "undelivered_s": 60.0,
    "cut_off_s": None,
    "canary": {"at": "2026-03-02T10:00:00Z", "age_s": 9_000.0, "latency_s": 60.0},
}


def test_at_its_bounds_all_is_well() -> None:
    assert [] == what_is_wrong(WELL, Bounds())
    assert [] == what_is_wrong(WELL | {"undelivered_s": None, "watermark_lag_s": None}, Bounds())


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"status": "not ready", "reasons": [{"reason": "disk_full", "detail": "the disk has 3 MB left"}]},
         "not ready: the disk has 3 MB left"),
        ({"status": "not ready", "reasons": [{"reason": "stopping"}]}, "not ready: stopping"),
        ({"status": "fine"}, "it does not say that it is ready"),
        ({"watermark_lag_s": 31}, "silence is judged only up to 31 s ago"),
        ({"undelivered_s": 120.0}, "an alert has been waiting for 2 min"),
        ({"cut_off_s": 0.0}, "nothing that is sent to its public address has reached it for 0 s"),
        ({"cut_off_s": 120.0}, "nothing that is sent to its public address has reached it for 2 min"),
        ({"canary": {"age_s": 10_800.0, "latency_s": 0.2}}, "the last canary was told of 3 h ago"),
        ({"canary": {"age_s": 60.0, "latency_s": 90.0}}, "the last canary was told of 1 min 30 s late"),
        ({"canary": {"age_s": "soon", "latency_s": 0.1}}, "the last canary was told of at no known time"),
    ],
)  # fmt: skip
def test_what_is_beyond_a_bound_is_said(told: dict[str, Any], says: str) -> None:
    assert [says] == what_is_wrong(WELL | told, Bounds())


def test_one_that_tells_of_no_canary_is_given_the_time_that_a_canary_may_take() -> None:
    silent = WELL | {"canary": None}

    assert [] == what_is_wrong(silent, Bounds(), without_canary=timedelta(minutes=150))
    found = what_is_wrong(silent, Bounds(), without_canary=timedelta(minutes=151))
    assert ["it has told of no canary for 2 h 31 min"] == found
    assert [] == what_is_wrong(silent, Bounds(canary=None), without_canary=timedelta(days=9))


def test_several_things_are_all_said() -> None:
    assert 2 == len(what_is_wrong(WELL | {"watermark_lag_s": 99, "undelivered_s": 99}, Bounds()))
