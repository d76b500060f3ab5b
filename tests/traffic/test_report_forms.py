"""A report in each of its forms: the same figures, nothing cut off, and what came from outside does no harm."""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from heartfly.api.v1.wire_reports import report_out
from heartfly.core.amounts import ONE
from heartfly.core.meter_prices import MeterPrice
from heartfly.core.money import rate
from heartfly.core.report_periods import Period
from heartfly.core.tiles import State
from heartfly.core.traffic import Figures
from heartfly.traffic.asked import ByStatus
from heartfly.traffic.report import PARTIAL, Report, fingerprint, measured, together
from heartfly.traffic.report_document import body, part, size, summary
from heartfly.traffic.report_files import ExtraMissingError, as_csv, as_ndjson, as_parquet
from heartfly.traffic.report_pdf import laid_out, pdf_of
from heartfly.usage.hands import Hands
from heartfly.usage.meter_costs import CostLine, MeterCosts
from tests.traffic.made_report import ZONE, a_report, of_status
from tests.web.hostile import HOSTILE

WHOSE = ("Main", "acme", Period(date(2026, 11, 1), date(2026, 11, 1), ZONE), False)
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1")


def pages(pdf: bytes, where: Path, how: str = "-layout") -> tuple[int, list[str]]:
    """How many pages it has, and the text of each."""
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("no pdftotext here")
    path = where / "report.pdf"
    path.write_bytes(pdf)
    told = subprocess.run([tool, how, path, "-"], check=True, capture_output=True).stdout.decode()
    found = told.split("\f")[:-1]
    return len(found), found


def made(report: Report) -> bytes:
    pytest.importorskip("weasyprint")
    pdf = laid_out(report)
    assert pdf is not None
    return pdf


# --- figures


def test_figures_are_those_of_all_days_together() -> None:
    first, second = of_status({200: 3, 301: 1, 404: 2}), of_status({200: 1, 429: 1, 503: 1, 0: 2})

    told = measured(together([first, second]))

    assert (11, 5, 3, 1, 1, 2) == (told.n, told.ok, told.client, told.limited, told.server, told.unknown)
    assert (1_100, 22_000) == (told.bytes_in, told.bytes_out)
    assert 300 * ONE == told.longest


def test_a_percentile_is_never_longer_than_the_longest() -> None:
    told = measured(of_status({200: 10}, ms=(300,)))

    assert (300 * ONE, 300 * ONE) == (told.p99, told.longest)


def test_a_request_without_a_time_counts_in_no_percentile() -> None:
    told = measured(ByStatus({200: Figures(n=2)}))

    assert (2, None, None, None) == (told.n, told.mean, told.p50, told.longest)


@pytest.mark.parametrize(
    ("n", "of", "told"),
    [
        (0, 0, "–"), (0, 7, "0.00 %"), (7, 7, "100.00 %"), (999_999, 1_000_000, "99.99 %"),
        (1, 1_000_000, "< 0.01 %"), (1, 3, "33.33 %"),
    ],
)  # fmt: skip
def test_what_is_not_all_is_never_told_as_all(n: int, of: int, told: str) -> None:
    assert told == part(n, of)


@pytest.mark.parametrize(
    ("n", "told"), [(0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (12_345_678, "12.3 MB"), (10**24, "1000000 EB")]
)
def test_bytes_are_told_to_three_digits(n: int, told: str) -> None:
    assert told == size(n)


def test_the_fingerprint_is_of_the_sums() -> None:
    day, other = date(2026, 11, 1), of_status({200: 5})
    told = [
        fingerprint(WHOSE, [(day, State.FINAL, of)], [("GET /a", of)], [], [(day, proof)])
        for of, proof in ((other, b"x"), (of_status({200: 5}), b"x"), (of_status({200: 6}), b"x"), (other, b"y"))
    ]

    assert told[0] == told[1]
    assert 3 == len(set(told))


@pytest.mark.parametrize(
    ("whose", "state"),
    [
        (("Another", *WHOSE[1:]), State.FINAL),
        ((WHOSE[0], "another", *WHOSE[2:]), State.FINAL),
        ((*WHOSE[:2], Period(date(2026, 10, 31), WHOSE[2].last, ZONE), False), State.FINAL),
        ((*WHOSE[:2], Period(WHOSE[2].first, date(2026, 11, 2), ZONE), False), State.FINAL),
        ((*WHOSE[:2], Period(WHOSE[2].first, WHOSE[2].last, ZoneInfo("Asia/Tokyo")), False), State.FINAL),
        ((*WHOSE[:3], True), State.FINAL),
        (WHOSE, State.AMENDED),
    ],
)
def test_the_fingerprint_is_of_whose_report_it_is_and_how_sure(
    whose: tuple[str, str, Period, bool], state: State
) -> None:
    """Also where nobody asked for anything, so that there are no sums."""
    day = date(2026, 11, 1)

    assert fingerprint(WHOSE, [(day, State.FINAL, ByStatus())], [], [], []) != fingerprint(
        whose, [(day, state, ByStatus())], [], [], []
    )


def test_what_is_not_whole_is_never_final_and_each_form_says_so() -> None:
    report, whole = a_report(partial=True), a_report()

    assert (False, True) == (report.is_final, whole.is_final)
    assert PARTIAL in summary(report)
    assert PARTIAL not in summary(whole)
    page = body(report)
    assert ("Not whole." in page, "Not whole." in body(whole)) == (True, False)
    for made_of in (as_csv, as_ndjson):
        assert PARTIAL in made_of(report).decode()
        assert PARTIAL not in made_of(whole).decode()
    in_csv = list(csv.DictReader(io.StringIO(as_csv(report).decode())))
    assert {"provisional"} == {row["state"] for row in in_csv if row["kind"] in {"report", "day", "note"}}
    assert "No request of this customer was counted" in summary(a_report(partial=True, is_empty=True))


# --- files


def test_rows_add_up_in_each_file() -> None:
    report = a_report()
    in_csv = list(csv.DictReader(io.StringIO(as_csv(report).decode())))
    in_lines = [json.loads(line) for line in as_ndjson(report).splitlines()]

    for found in (in_csv, in_lines):
        (whole,) = [row for row in found if row["kind"] == "report"]
        assert report.total.n == int(whole["requests"])
        assert report.fingerprint == whole["fingerprint"]
        for kind in ("day", "status"):
            assert report.total.n == sum(int(row["requests"]) for row in found if row["kind"] == kind)
        (meter,) = [row for row in found if row["kind"] == "meter"]
        assert int(meter["value"]) == sum(int(row["value"]) for row in found if row["kind"] == "meter_day")
    assert len(in_csv) == len(in_lines)


def with_costs() -> Report:
    report = a_report()
    eu = MeterPrice(id=1, only={"region": "eu", "plan": None}, amount=rate("0.000025") or 0, currency="USD")
    rest = MeterPrice(id=2, only={}, amount=rate("0.01") or 0, currency="EUR")
    whole = {"from_at": report.period.from_at, "to_at": report.period.to_at}

    def line(price: MeterPrice | None, quantity: int, untold: str = "") -> CostLine:
        return CostLine(
            meter="bytes", name="Bytes <b>", unit="B", price=price, n=2, quantity=quantity, untold=untold, **whole
        )

    lines = [line(eu, 1_234 * ONE), line(eu, ONE // 8), line(rest, 7 * ONE), line(None, 3 * ONE), line(eu, 0, "why")]
    totals: dict[str, int] = {}
    for one in lines:
        if one.price is not None and one.cost is not None:
            totals[one.price.currency] = totals.get(one.price.currency, 0) + one.cost
    return replace(report, costs=MeterCosts(lines, totals))


def test_lines_of_costs_add_up_to_their_totals_in_each_form() -> None:
    report = with_costs()
    in_csv = list(csv.DictReader(io.StringIO(as_csv(report).decode())))
    in_lines = [json.loads(line) for line in as_ndjson(report).splitlines()]

    for found in (in_csv, in_lines):
        totals = {row["name"]: Decimal(row["cost"]) for row in found if row["kind"] == "cost_total"}
        assert {"USD": Decimal("0.030853125"), "EUR": Decimal("0.07")} == totals
        for currency, total in totals.items():
            lines = [row for row in found if row["kind"] == "cost" and row.get("currency") == currency]
            assert total == sum(Decimal(row["cost"]) for row in lines if row.get("cost"))
    assert "region: eu, plan: none" in {row["title"] for row in in_csv}
    page = body(report)
    for words in (
        "0.030853125",
        "0.07",
        "no price is known",
        "2 of these lines have no cost",
        "Bytes &lt;b&gt;",
        "why",
    ):
        assert words in page
    assert "Costs" not in body(a_report())
    assert report_out(report).cost_totals == {"USD": "0.030853125", "EUR": "0.07"}


def test_costs_are_in_the_fingerprint() -> None:
    report = with_costs()
    one, other = (
        fingerprint(WHOSE, [], [], [], [], costs=costs)
        for costs in (report.costs, MeterCosts(report.costs.lines[1:], report.costs.totals))
    )

    assert one != other
    assert fingerprint(WHOSE, [], [], [], []) == fingerprint(WHOSE, [], [], [], [], costs=MeterCosts((), {}))


def test_parquet_holds_the_same_rows() -> None:
    pytest.importorskip("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    report = a_report()

    table = parquet.read_table(io.BytesIO(as_parquet(report)))

    rows = table.to_pylist()
    assert report.total.n == sum(row["requests"] for row in rows if row["kind"] == "day")
    assert ["int64", "timestamp[us, tz=UTC]", "double", "string"] == [
        str(table.schema.field(name).type) for name in ("requests", "from", "p95_ms", "value")
    ]
    assert report.period.from_at == rows[0]["from"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_of_csv_runs_in_a_spreadsheet(formula: str) -> None:
    report = a_report(customer=formula, endpoint=formula, unit=formula, meter=formula)

    cells = [cell for row in csv.reader(io.StringIO(as_csv(report).decode(), newline="")) for cell in row]

    assert [] == [cell for cell in cells if cell.startswith(FORMULAS) or cell[:1] in {"=", "+", "-", "@"}]
    assert f"'{formula}" in cells


# --- the page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_from_outside_are_text(hostile: str) -> None:
    calm, found = body(a_report()), body(a_report(customer=hostile, endpoint=hostile, unit=hostile, meter=hostile))
    tags = re.compile(r"<[^>]*>")

    assert sorted(tags.findall(calm)) == sorted(tags.findall(found))


def test_it_has_no_style_no_script_and_no_address() -> None:
    assert not re.search(r"style=|<style|<script|href=|src=|url\(", body(a_report()))


def test_a_red_line_says_that_it_is_provisional() -> None:
    assert "Provisional." not in body(a_report())
    assert "2 of 30 days are not final" in body(a_report(not_final=2))
    assert "12 events of all customers came after" in body(a_report())


def test_nothing_is_said_in_a_sentence() -> None:
    assert "No request of this customer" in summary(a_report(is_empty=True))


def test_a_page_of_100_days_is_made_in_a_moment() -> None:
    report = a_report(period=Period(date(2026, 8, 1), date(2026, 11, 8), ZONE))
    body(report)  # the template is read once
    began = time.process_time()

    body(report)

    assert time.process_time() - began < 0.3


# --- PDF


@pytest.mark.parametrize("kind", ["full", "provisional", "empty", "long"])
def test_a_pdf_of_30_days_has_2_to_4_pages_with_all_its_text(kind: str, tmp_path: Path) -> None:
    long = "GET /v1/" + "a-very-long-part-of-a-path/" * 6
    report = {
        "full": a_report(),
        "provisional": a_report(not_final=3),
        "empty": a_report(is_empty=True),
        "long": a_report(customer="Ж" * 180, endpoint=long, unit="requests" * 6, meter="m" * 120),
    }[kind]

    pdf = made(report)
    n, texts = pages(pdf, tmp_path)
    text = re.sub(r"\s+", "", "".join(texts))

    assert 2 <= n <= 4
    assert report.fingerprint in text
    for one in report.days:
        assert one.date.isoformat() in text
    for endpoint in report.endpoints:
        assert re.sub(r"\s+", "", endpoint.name)[:20] in text
    assert f"{report.total.n:,}" in text
    marked = [page for page in pages(pdf, tmp_path, "-raw")[1] if "PROVISIONAL" in page]
    assert (n if kind == "provisional" else 0) == len(marked)


def test_fonts_are_in_the_pdf_and_nothing_stands_outside_of_its_pages(tmp_path: Path) -> None:
    fonts, boxes = shutil.which("pdffonts"), shutil.which("pdftotext")
    if fonts is None or boxes is None:
        pytest.skip("no poppler here")
    path = tmp_path / "report.pdf"
    path.write_bytes(made(a_report(endpoint="GET /v1/" + "w" * 150, not_final=1)))

    told = subprocess.run([fonts, path], check=True, capture_output=True, text=True).stdout.splitlines()[2:]
    placed = subprocess.run([boxes, "-bbox", path, "-"], check=True, capture_output=True, text=True).stdout

    assert told
    assert {"yes"} == {line.split()[-5] for line in told}
    found = re.findall(r'<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">([^<]*)<', placed)
    inside = [one for one in found if one[4] != "PROVISIONAL"]
    assert len(inside) > 300
    assert max(float(x) for _, _, x, _, _ in inside) < 595 - 30
    assert min(float(x) for x, _, _, _, _ in inside) > 30


def test_a_pdf_is_laid_out_within_three_seconds() -> None:
    report = a_report()
    made(report)  # fonts are looked for once
    began = time.process_time()

    made(report)

    assert time.process_time() - began < 3


@pytest.mark.anyio
async def test_without_an_extra_whoever_asks_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("weasyprint", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("heartfly.traffic.report_pdf.find_spec", lambda _: None)

    with pytest.raises(ExtraMissingError, match=r"format: a PDF needs the extra `pdf`"):
        await pdf_of(a_report(), Hands(beside=False))
    with pytest.raises(ExtraMissingError, match=r"pip install 'heartfly\[parquet\]'"):
        as_parquet(a_report())


def test_days_that_are_not_final_are_named() -> None:
    report = a_report(not_final=1)

    assert [State.PROVISIONAL] == [one.state for one in report.doubtful]
    assert "2026-11-30 (provisional)" in body(report)
