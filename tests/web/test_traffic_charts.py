"""Pictures, words and addresses of requests, without any database: rows in, paths and texts out."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest

from heartfly.core.amounts import ONE
from heartfly.core.sketches import Histogram
from heartfly.core.traffic import Figures
from heartfly.core.windows import Size, Window, windows
from heartfly.traffic.asked import Asked, Bin, ByStatus
from heartfly.traffic.series import bins_of
from heartfly.web import traffic_charts as charts
from heartfly.web import traffic_words as words
from heartfly.web.endpoint_address import address_of, named
from heartfly.web.traffic_heat import newest_hour
from heartfly.web.traffic_view import View, one_to_one, view_of

UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 30, 10, 30, tzinfo=UTC)


def figures(n: int, ms: int = 20) -> Figures:
    found = Figures(n=n, n_timed=n, latency_us=n * ms * 1_000, latency_max_us=ms * 1_000)
    found.latencies.add(ms * ONE, n)
    return found


def bins(*by_status: dict[int, int], ms: int = 20) -> list[charts.Point]:
    start = datetime(2026, 3, 30, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(len(by_status))]
    return charts.points(
        [
            Bin(
                window=Window(at, at + timedelta(hours=1)),
                by_status=ByStatus({status: figures(n, ms) for status, n in told.items()}),
                open=at is hours[-1],
            )
            for at, told in zip(hours, by_status, strict=True)
        ]
    )


def view(query: str = "", *, zone: ZoneInfo = UTC_ZONE, now: datetime = NOW, **scope: str) -> View:
    pairs = [(name, value) for name, _, value in (one.partition("=") for one in query.split("&") if one)]
    return view_of(pairs, root="/p/main/usage", path="/p/main/usage", zone=zone, now=now, **scope)


def test_bars_are_stacked_to_a_scale_and_an_open_one_is_outlined() -> None:
    picture = charts.stacked(bins({200: 6, 500: 2}, {}, {404: 4}), UTC_ZONE, Size.HOUR)
    assert picture is not None
    paths = dict(picture.paths)
    heights = {name: [float(one) for one in re.findall(r"v([\d.]+)h", paths[name])] for name in paths if name != "open"}

    assert ["8", "4", "0"] == picture.scale
    assert {"c-2xx": [75.0], "c-5xx": [25.0], "c-4xx": [50.0]} == heights
    assert 1 == paths["open"].count("M")
    assert ["00:00", "01:00", "02:00"] == [word for _, word in picture.marks]


SCALES = {
    1: ["1", "", "0"], 3: ["3", "", "0"], 21: ["30", "15", "0"], 1_105: ["1,500", "750", "0"],
    4_210_000: ["5.00 M", "2.50 M", "0"],
}  # fmt: skip


@pytest.mark.parametrize("most", SCALES)
def test_a_scale_is_short_and_its_half_is_true(most: int) -> None:
    picture = charts.stacked(bins({200: most}), UTC_ZONE, Size.HOUR)

    assert picture is not None
    assert SCALES[most] == picture.scale


def test_errors_have_a_scale_of_their_own() -> None:
    picture = charts.lane_of_errors(bins({200: 990, 500: 4, 404: 6}), UTC_ZONE, Size.HOUR)

    assert picture is not None
    assert "1 %" == picture.scale[0]
    assert ["c-5xx", "c-4xx"] == [name for name, _ in picture.paths]
    assert charts.lane_of_errors(bins({200: 9}), UTC_ZONE, Size.HOUR) is None


def test_lines_break_where_nobody_told_a_time() -> None:
    picture = charts.latencies(bins({200: 1}, {}, {200: 1}), UTC_ZONE, Size.HOUR, log=False)
    tenfold = charts.latencies(bins({200: 1}, ms=20), UTC_ZONE, Size.HOUR, log=True)

    assert picture is not None
    assert tenfold is not None
    assert [2, 2, 2] == [path.count("M") for _, path in picture.paths]
    assert ["100 ms", "10"] == list(tenfold.scale)
    assert charts.latencies(bins({}), UTC_ZONE, Size.HOUR, log=True) is None


@pytest.mark.parametrize(("log", "y", "top"), [(False, "33.33", "300 ms"), (True, "34.95", "1,000 ms")])
def test_a_goal_is_a_line_of_its_own_that_the_scale_has_room_for(*, log: bool, y: str, top: str) -> None:
    picture = charts.latencies(bins({200: 1}, {200: 1}), UTC_ZONE, Size.HOUR, log=log, slo_ms=200)
    assert picture is not None

    assert ("slo", f"M0 {y}H600") == picture.paths[0]
    assert top == picture.scale[0]


@pytest.mark.parametrize(("slo_ms", "over"), [(19, 2), (20, 0), (3_600_000, 0)])
def test_a_goal_is_told_in_words(slo_ms: int, over: int) -> None:
    found = bins({200: 1}, {}, {200: 1})

    assert f"p95 was over the goal of {slo_ms:,} ms in {over} of 2 bars of time." == charts.sentence_of_slo(
        found, slo_ms
    )


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "3600001", "x", "٣", "999999999"])
def test_a_goal_that_is_none_is_told_by_its_field(given: str) -> None:
    assert {"slo"} == view(f"slo={given}").errors.keys()


def test_a_goal_stays_in_links_and_is_typed_anew_in_the_form() -> None:
    shown = view("slo=250&log=1")

    assert 250 == shown.slo_ms
    assert "slo=250" in shown.link(range="30d")
    assert [("log", "1")] == list(shown.kept)


def test_what_can_be_pressed_covers_all_of_the_time_in_a_dozen_pieces() -> None:
    found = charts.fields(bins(*({200: 1} for _ in range(168))))

    assert 12 >= len(found)
    assert 168 == sum(one.n for one in found)
    assert all(one.window.to_at == after.window.from_at for one, after in pairwise(found))


@pytest.mark.parametrize("minutes", [1, 11, 59, 61, 119])
def test_what_can_be_pressed_is_wide_enough_whenever_one_looks(minutes: int) -> None:
    whole = bins(*({200: 1} for _ in range(24)))
    first, last = whole[0].window, whole[-1].window
    begun = Window(last.to_at, last.to_at + timedelta(minutes=minutes % 60))
    late = Window(first.to_at - timedelta(minutes=minutes % 60), first.to_at)
    found = charts.fields([replace(whole[0], window=late), *whole[1:], replace(whole[-1], window=begun)])

    assert min(one.width for one in found) >= charts.WIDTH * 24 / 340
    assert (late.from_at, begun.to_at) == (found[0].window.from_at, found[-1].window.to_at)
    assert all(one.window.to_at == after.window.from_at for one, after in pairwise(found))
    assert 25 == sum(one.n for one in found)


def test_times_are_spread_by_half_octaves() -> None:
    latencies = Histogram()
    for ms in (3, 3, 20):
        latencies.add(ms * ONE)
    picture, rows = charts.spread(latencies)

    assert picture is not None
    assert [("2.83", "4", 2), ("16", "22.6", 1)] == [row for row in rows if row[2]]
    assert (None, ()) == charts.spread(Histogram())


def test_figures_are_told_as_near_as_they_are_known() -> None:
    assert ["99,999", "100 k", "4.21 M"] == [words.count(n) for n in (99_999, 100_000, 4_210_000)]
    assert ["–", "0 %", "< 0.01 %", "0.42 %", "99.99 %", "100 %"] == [
        words.percent(*one) for one in ((0, 0), (0, 5), (1, 1_000_000), (42, 10_000), (999_999, 1_000_000), (7, 7))
    ]
    assert ["+8.2 %", "−50 %", "±0 %", ""] == [words.more(*one) for one in ((1_082, 1_000), (1, 2), (5, 5), (5, None))]
    assert ["as before", "+100 ms", ""] == [
        words.more_ms(*one) for one in ((101 * ONE, 100 * ONE), (200 * ONE, 100 * ONE), (ONE, None))
    ]
    assert "20.0 ± 0.3" == words.near(20 * ONE)


def test_links_keep_what_the_address_has() -> None:
    shown = view("range=30d&status=5xx&status=429&customer=acme")

    added = shown.link(add={"method": "GET"}).partition("?")[2].split("&")
    assert ["customer=acme", "method=GET", "range=30d", "status=429", "status=5xx"] == sorted(added)
    assert "status=429" in shown.link(less=("status", "5xx"))
    assert "status=5xx" not in shown.link(less=("status", "5xx"))
    window = next(windows(Size.HOUR, UTC_ZONE, NOW, NOW + timedelta(hours=1)))
    assert "from=2026-03-30T10%3A00%3A00Z" in shown.of_window(window)
    assert "range" not in shown.of_window(window)
    assert "customer=c-1" in view(customer="c-1").link("/requests")
    assert "customer" not in view(customer="c-1").link()


def test_a_link_of_a_row_takes_the_place_of_its_filter() -> None:
    shown = view("endpoint=GET /a&endpoint=GET /b&status=4xx&status=500&customer=acme")
    window = next(windows(Size.HOUR, UTC_ZONE, NOW, NOW + timedelta(hours=1)))

    def asked(link: str, name: str) -> list[str]:
        return [value for one, value in parse_qsl(link.partition("?")[2]) if one == name]

    assert ["GET /a"] == asked(shown.of_window(window, endpoint="GET /a"), "endpoint")
    assert ["404"] == asked(shown.link("/requests", add={"status": "404"}), "status")
    assert [["500"], ["4xx"], ["429"], []] == [list(shown.statuses_in(word)) for word in ("5xx", "4xx", "429", "3xx")]
    assert ["5xx"] == list(view().statuses_in("5xx"))
    assert ["500"] == asked(shown.link("/requests", add={"status": shown.statuses_in("5xx")}), "status")
    assert [] == asked(shown.link("/endpoints/x", endpoint=""), "endpoint")


def test_times_that_are_typed_are_of_the_project_and_win_over_a_range() -> None:
    shown = view("range=30d&from=2026-03-28&to=2026-03-29T12:00", zone=BERLIN)

    assert "" == shown.word
    assert (datetime(2026, 3, 27, 23, tzinfo=UTC), datetime(2026, 3, 29, 10, tzinfo=UTC)) == (
        shown.asked.from_at, shown.asked.to_at,
    )  # fmt: skip
    assert shown.before is not None
    assert shown.asked.from_at == shown.before.to_at


@pytest.mark.parametrize(
    ("query", "now", "before"),
    [
        # Clocks go back on the 25th of October, and forward on the 29th of March.
        ("range=90d", datetime(2026, 11, 12, 12, tzinfo=UTC), ("2026-05-17", "2026-08-14")),
        ("range=30d", datetime(2026, 11, 12, 12, tzinfo=UTC), ("2026-09-14", "2026-10-13")),
        ("range=30d", datetime(2026, 4, 10, 12, tzinfo=UTC), ("2026-02-10", "2026-03-11")),
        ("from=2026-07-01&to=2026-12-31", datetime(2027, 1, 12, 12, tzinfo=UTC), ("2026-01-01", "2026-06-01")),
        ("from=2026-03-01&to=2026-08-31", datetime(2026, 7, 31, 12, tzinfo=UTC), ("2025-09-01", "2026-01-01")),
    ],
)
def test_the_time_before_has_as_many_days_or_months_one_to_one(
    query: str, now: datetime, before: tuple[str, str]
) -> None:
    shown = view_of(parse_qsl(query), root="/u", path="/u", zone=BERLIN, now=now)
    mine, earlier = shown_windows(shown, shown.asked, now), shown_windows(shown, shown.before, now)

    first, last = (one.from_at.astimezone(BERLIN) for one in (earlier[0], earlier[-1]))
    assert [f"{day}T00:00" for day in before] == [f"{at:%Y-%m-%dT%H:%M}" for at in (first, last)]
    assert len(mine) == len(earlier)
    assert one_to_one(mine, earlier, shown)


@pytest.mark.parametrize("query", ["from=2026-10-19&to=2026-10-25", "from=2026-03-10&to=2026-09-20"])
def test_windows_that_do_not_match_are_not_compared_one_to_one(query: str) -> None:
    """A week with an hour more, and months that begin within one."""
    now = datetime(2026, 11, 12, 12, tzinfo=UTC)
    shown = view_of(parse_qsl(query), root="/u", path="/u", zone=BERLIN, now=now)

    mine, earlier = shown_windows(shown, shown.asked, now), shown_windows(shown, shown.before, now)
    assert not one_to_one(mine, earlier, shown)


def shown_windows(shown: View, asked: Asked | None, now: datetime) -> list[Window]:
    assert asked is not None
    return [cut for _, cut in bins_of(shown.size, asked.zone, Window(asked.from_at, asked.to_at), now)]


def test_the_hour_that_clocks_leave_out_is_looked_for_a_week_before() -> None:
    shown = view("from=2026-03-16&to=2026-03-29", zone=BERLIN)
    found = newest_hour(shown, 6, 2)

    assert found is not None
    assert datetime(2026, 3, 22, 1, tzinfo=UTC) == found.from_at  # on the 29th it goes from 2 to 3


def test_the_hour_of_a_zone_with_half_an_hour_is_that_of_utc_which_its_cell_counts() -> None:
    found = newest_hour(view("range=7d", zone=ZoneInfo("Asia/Kolkata")), 6, 9)

    assert found is not None
    assert datetime(2026, 3, 29, 4, tzinfo=UTC) == found.from_at  # 9:30 there


def test_an_endpoint_is_found_by_its_address_alone() -> None:
    name = "GET /v1/orders/{id}"

    assert re.fullmatch(r"/endpoints/[0-9a-f]{18}", address_of(name))
    assert name == named(address_of(name).rpartition("/")[2], ["POST /x", name])
    assert named("none", [name]) is None
