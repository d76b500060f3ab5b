"""A report as HTML: one body for the page, the link and the PDF, and a document of its own around it for paper.

The words and the tables stand in templates/; how figures are told to people is decided here. Whatever came from
outside is escaped. The body has no script, no style and no address, so the strictest policy lets it pass.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import cache

import jinja2

from heartfly.core.amounts import Amount, text_of
from heartfly.core.meters import Aggregation
from heartfly.core.money import Money, money_text, rate_text
from heartfly.core.sketches import rounded, spelled
from heartfly.core.text import shown
from heartfly.traffic import report_charts as charts
from heartfly.traffic.report import MARGIN, PARTIAL, Measured, MeterOf, Report

_BYTES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def body(report: Report, *, is_alone: bool = False) -> str:
    """`is_alone`: there is nothing else of Heartfly around it, so what leads to the application is left out."""
    return _template("report_body.html").render(
        report=report,
        total=report.total,
        summary=summary(report),
        requests=charts.requests_by_day(report),
        times=charts.times_by_day(report),
        mix=charts.mix(report.total),
        width=charts.WIDTH,
        height=charts.HEIGHT,
        margin=MARGIN,
        is_alone=is_alone,
    )


def document(report: Report, *, style: str) -> str:
    """A whole document, with the style sheet in it."""
    return _template("report_document.html").render(report=report, body=body(report, is_alone=True), style=style)


def summary(report: Report) -> str:
    """The report in a sentence or two."""
    return f"{_summary(report)} {PARTIAL}" if report.partial else _summary(report)


def _summary(report: Report) -> str:
    total = report.total
    if not total.n:
        return f"No request of this customer was {'counted' if report.partial else 'recorded'} in these days."
    said = [f"{total.n:,} request{'s' if total.n != 1 else ''}", f"{part(total.ok, total.n)} succeeded"]
    if total.p95 is not None:
        said.append(f"p95 {spelled(total.p95)} ms")
    if total.bytes:
        said.append(f"{size(total.bytes)} transferred")
    return ", ".join(said) + "."


def part(n: int, of: int) -> str:
    """A share in per cent. What is not all is never told as 100 %, and what is not nothing never as 0."""
    if not of:
        return "–"
    share = Decimal(100 * n) / of
    near = share.quantize(Decimal("0.01"), ROUND_DOWN if n < of else ROUND_HALF_UP)
    return "< 0.01 %" if n and not near else f"{near} %"


def size(n: int) -> str:
    """Bytes, in steps of a thousand, to three digits."""
    value, unit = Decimal(n), 0
    while value >= 1_000 and unit < len(_BYTES) - 1:
        value /= 1_000
        unit += 1
    places = 0 if not unit else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{places}f} {_BYTES[unit]}"


def near(value: Amount | None) -> str:
    """Milliseconds, to the digits that a percentile holds."""
    return "–" if value is None else f"{Decimal(text_of(rounded(value)[0])):,}"


def told(meter: MeterOf) -> str:
    if meter.value is None:
        return "–"
    return spelled(meter.value) if meter.aggregation is Aggregation.PERCENTILE else grouped(meter.value)


def grouped(value: Amount) -> str:
    """All its digits, with the thousands apart."""
    return f"{Decimal(text_of(value)):,f}"


def money(value: Money) -> str:
    """All its digits, with the thousands apart."""
    return f"{Decimal(money_text(value)):,f}"


def errors(of: Measured) -> int:
    return of.client + of.server


def utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


@cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("heartfly.traffic"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": shown, "size": size, "near": near, "told": told, "errors": errors, "utc": utc, "part": part,
        "rate": rate_text, "grouped": grouped, "money": money,
    }  # fmt: skip
    return environment.get_template(name)
