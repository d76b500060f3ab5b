"""Figures of requests add up and are taken apart, whether their times are packed or not."""

from __future__ import annotations

from heartfly.core.amounts import ONE
from heartfly.core.packed import packed
from heartfly.core.sketches import Histogram
from heartfly.core.traffic import Figures


def of(*ms: int) -> Figures:
    """Packed, as a database hands it out."""
    told = Histogram()
    for one in ms:
        told.add(one * ONE)
    found = Figures(n=len(ms), n_timed=len(ms), latency_us=sum(ms) * 1_000)
    found.add_packed(packed(told.zero, told.above))
    return found


def written(*ms: int) -> object:
    told = Histogram()
    for one in ms:
        told.add(one * ONE)
    return told.written()


def test_packed_times_add_up_with_those_that_are_not() -> None:
    found, single = of(0, 1, 5), Figures()
    single.latencies.add(7 * ONE)
    found.merge(single)
    found.merge(of(5, 9))

    assert written(0, 1, 5, 5, 7, 9) == found.latencies.written()


def test_percentiles_follow_whatever_is_added_since() -> None:
    """They are read off what is packed, as long as nothing else is there."""
    found, half = of(1, 2, 3), 50 * ONE
    seen = [found.percentile_ms(half)]
    seen.append(found.percentile_ms(half))
    found.merge(of(100, 200, 300))
    seen.append(found.percentile_ms(half))
    found.add_packed(packed(4, {}))
    seen.append(found.percentile_ms(half))
    single = Figures()
    single.latencies.add(7 * ONE)
    found.merge(single)

    one, two, three = (of(ms).latencies.percentile(half) for ms in (1, 2, 3))
    assert [two, two, three, one] == seen
    assert found.latencies.percentile(half) == found.percentile_ms(half)


def test_what_was_merged_stays_what_it_was() -> None:
    whole, part = Figures(), of(1, 2)
    whole.merge(part)
    whole.merge(of(3))

    assert written(1, 2) == part.latencies.written()
    assert written(1, 2, 3) == whole.latencies.written()


def test_a_text_holds_many_packed_times() -> None:
    found = Figures()
    found.add_packed(",".join(packed(0, {bucket: 70_000, bucket + 3: 1}).hex().upper() for bucket in (4, 5)))

    assert {4: 70_000, 5: 70_000, 7: 1, 8: 1} == found.latencies.above


def test_what_is_left_without_some_is_the_others_also_when_it_is_added_up() -> None:
    rest, total = of(0, 0, 3, 4, 4).without(of(0, 4)), Figures()
    total.merge(rest)

    assert (3, 3, 7_000) == (rest.n, rest.n_timed, rest.latency_us)
    assert written(0, 3, 4) == rest.latencies.written()
    assert written(0, 3, 4) == total.latencies.written()


def test_packed_times_are_added_one_by_one_and_to_figures_that_have_none() -> None:
    found, none = Figures(), Figures(n=2)
    for ms in (3, 4):
        histogram = Histogram()
        histogram.add(ms * ONE)
        found.add_packed(packed(histogram.zero, histogram.above))
    none.merge(Figures(n=1))
    none.merge(found)

    assert written(3, 4) == none.latencies.written()
    assert 3 == none.n


def test_several_percentiles_are_those_that_one_asks_for_one_by_one() -> None:
    figures = Figures()
    figures.latencies.add_all([ONE * n for n in (0, 1, 5, 9, 200)])
    percents = [ONE, 50 * ONE, 95 * ONE, 100 * ONE]

    assert [figures.percentile_ms(one) for one in percents] == list(figures.percentiles_ms(percents))
    assert [None, None] == list(Figures().percentiles_ms(percents[:2]))
