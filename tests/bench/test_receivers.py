"""Receivers of the bench hear on each of their addresses, and lateness counts from the deadline that an alert tells."""

from __future__ import annotations

import urllib.request

import pytest

from bench.procstat import Used
from bench.receivers import Drained, lateness_s
from bench.sink import Arrivals, sink


def test_each_address_hears_for_all_and_notes_what_an_alert_says() -> None:
    with sink(n_hosts=3) as receiver:
        for n, url in enumerate(receiver.urls):
            said = (
                b'{"project": {"name": "Bench"}, "check": {"name": "Job %d", "expected_at": "2026-03-02T03:00:0%dZ"}}'
                % (n, n)
            )
            request = urllib.request.Request(url, data=said, headers={"webhook-id": f"msg_{n}"})
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert 200 == answer.status
        heard = receiver.arrivals()

    assert 3 == len(set(receiver.urls))
    assert {"msg_0", "msg_1", "msg_2"} == heard.ids
    assert [f"2026-03-02T03:00:0{n}Z" for n in range(3)] == heard.expected
    assert ["Job 0", "Job 1", "Job 2"] == heard.names


def test_lateness_is_from_the_end_of_the_slot() -> None:
    arrivals = Arrivals(at=[1_772_420_405.25, 1_772_420_406.0], ids=set(), expected=["2026-03-02T03:00:00Z"] * 2)

    assert [0.25, 1.0] == lateness_s(arrivals)


def test_a_quantile_is_one_that_was_seen() -> None:
    drained = Drained([0.1, 0.2, 0.3, 9.0], 0, Used(cpu_s=0.0, extra_cpu_s=0.0, others=0.0))

    assert (0.3, 9.0, 9.0) == (drained.quantile_s(0.5), drained.quantile_s(0.99), drained.quantile_s(1.0))


def test_an_alert_that_tells_no_deadline_is_an_error_and_no_figure() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        lateness_s(Arrivals(at=[1.0], ids=set(), expected=[""]))
