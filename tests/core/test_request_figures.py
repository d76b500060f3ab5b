"""Figures of requests add up in any order, and percentiles are of those that told their time."""

from __future__ import annotations

from heartfly.core.amounts import stored
from heartfly.core.traffic import Figures


def told(one: Figures) -> tuple[object, ...]:
    return (
        one.n, one.n_timed, one.latency_us, one.latency_max_us, one.bytes_in, one.bytes_out, one.latencies.written(),
    )  # fmt: skip


def figures(*took_ms: int, n_untimed: int = 0, bytes_out: int = 0) -> Figures:
    found = Figures(
        len(took_ms) + n_untimed, len(took_ms), sum(took_ms) * 1_000, max(took_ms, default=0) * 1_000,
        7 * len(took_ms), bytes_out,
    )  # fmt: skip
    found.latencies.add_all([stored(str(ms)) for ms in took_ms])
    return found


def test_figures_add_up_in_any_order() -> None:
    parts = (figures(10, 250, bytes_out=5), figures(n_untimed=3), figures(90, n_untimed=1, bytes_out=8))
    sums = []
    for order in (parts, parts[::-1]):
        whole = Figures()
        for one in order:
            whole.merge(one)
        sums.append(whole)

    assert [told(figures(10, 90, 250, n_untimed=4, bytes_out=13))] * 2 == [told(one) for one in sums]


def test_a_percentile_is_of_those_that_told_their_time() -> None:
    found = figures(*range(1, 101), n_untimed=900).percentile_ms(stored("95"))

    assert found is not None
    assert abs(found - stored("95")) <= stored("95") * 11 // 1_000


def test_where_none_told_its_time_there_is_no_percentile() -> None:
    assert figures(n_untimed=3).percentile_ms(stored("95")) is None
