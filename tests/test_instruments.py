"""What is counted, as Prometheus' own parser reads it."""

from __future__ import annotations

import threading
from math import inf

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heartfly.instruments import Counter, Family, Histogram, Instruments, Sample, exposed, gauge


def read(*families: Family) -> dict[str, float]:
    """By `name{labels}`, as the parser understands it."""
    found = {}
    for family in text_string_to_metric_families(exposed(families).decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_a_counter_counts_for_each_of_its_labels() -> None:
    counter = Counter("heartfly_x_total", "About x.", "kind", "outcome")
    counter.add("slack", "sent")
    counter.add("slack", "sent", n=2.5)
    counter.add("email", "failed")

    assert {
        "heartfly_x_total{kind=slack,outcome=sent}": 3.5,
        "heartfly_x_total{kind=email,outcome=failed}": 1.0,
    } == read(counter.family())


def test_a_counter_without_labels_is_there_before_anything_happened() -> None:
    assert {"heartfly_x_total{}": 0.0} == read(Counter("heartfly_x_total", "About x.").family())


def test_a_bound_of_a_histogram_is_inclusive_and_buckets_add_up() -> None:
    histogram = Histogram("heartfly_x_seconds", "About x.", bounds=(0.5, 1))
    for value in (0.25, 0.5, 0.75, 1.5):
        histogram.observe(value)

    assert {
        "heartfly_x_seconds_bucket{le=0.5}": 2.0,
        "heartfly_x_seconds_bucket{le=1}": 3.0,
        "heartfly_x_seconds_bucket{le=+Inf}": 4.0,
        "heartfly_x_seconds_sum{}": 3.0,
        "heartfly_x_seconds_count{}": 4.0,
    } == read(histogram.family())


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "ä,b={}"])
def test_a_label_may_hold_what_the_format_uses_itself(text: str) -> None:
    assert {f"heartfly_x{{kind={text}}}": 1.0} == read(gauge("heartfly_x", "About\nx.", 1, kind=text))


@pytest.mark.parametrize("value", [0.0, 1e-9, 123456789.25, float(2**53), inf])
def test_a_number_arrives_as_it_is(value: float) -> None:
    assert {"heartfly_x{}": value} == read(Family("heartfly_x", "gauge", "About x.", (Sample(value),)))


def test_labels_that_were_never_meant_cannot_eat_the_memory() -> None:
    counter, histogram = Counter("heartfly_x_total", "", "a"), Histogram("heartfly_y", "", "a", bounds=(1,))
    for n in range(5000):
        counter.add(str(n))
        histogram.observe(1, str(n))

    assert 1000 == len(counter.family().samples)
    assert 4 * 1000 == len(histogram.family().samples)
    counter.add("7")  # those that are known go on
    assert 2.0 == read(counter.family())["heartfly_x_total{a=7}"]


def test_threads_lose_no_count() -> None:
    counter, histogram = Counter("heartfly_x_total", ""), Histogram("heartfly_y", "")

    def work() -> None:
        for _ in range(20_000):
            counter.add()
            histogram.observe(0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = read(counter.family(), histogram.family())
    assert (80_000.0, 80_000.0) == (found["heartfly_x_total{}"], found["heartfly_y_count{}"])


def test_names_are_as_prometheus_wants_them() -> None:
    for family in Instruments().families():
        assert family.name.startswith("heartfly_")
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name
        assert family.about.endswith("."), family.name
