"""A report as PDF: the same document, laid out for paper. Needs the extra `pdf`, and Pango on the machine.

To lay one out takes a second of computing, so it is done in a process beside (usage/hands.py). Nothing is fetched:
what the document needs stands in it.
"""

from __future__ import annotations

import importlib
import logging
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, NoReturn

from heartfly.traffic.report import Report
from heartfly.traffic.report_document import document
from heartfly.traffic.report_files import ExtraMissingError
from heartfly.usage.hands import Hands

_NO_LIBRARY = "it is installed, but a library of the system that it needs is not: Pango"


def as_html(report: Report) -> bytes:
    """The document, to be kept or printed."""
    style = files("heartfly.traffic").joinpath("report.css").read_text("utf-8")
    return document(report, style=style).encode(errors="replace")


def is_installed() -> bool:
    """As far as that can be told without loading it, which takes as long as many a page."""
    return find_spec("weasyprint") is not None


async def pdf_of(report: Report, hands: Hands, *, is_patient: bool = False) -> bytes:
    """`is_patient`: however much waits already; else OverloadedError.

    ExtraMissingError: it is not installed, or a library of the system is missing.
    """
    if not is_installed():
        raise ExtraMissingError("a PDF", "pdf")
    if not is_patient:
        hands.demand_room()
    made = await hands.run(laid_out, report)
    if made is None:
        raise ExtraMissingError("a PDF", "pdf", why=_NO_LIBRARY)
    return made


def laid_out(report: Report) -> bytes | None:
    """None: it cannot be loaded. An error of ours could not be sent home from another process."""
    try:
        html = importlib.import_module("weasyprint").HTML
    except OSError:  # of a library that is not there
        return None
    # Its warnings are about style sheets, of which there is ours alone.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    page = as_html(report).decode()
    made: bytes = html(string=page, url_fetcher=_nothing).write_pdf()
    return made


def _nothing(url: str, *_: Any, **__: Any) -> NoReturn:
    raise ValueError(f"a report fetches nothing, and not {url[:100]}")
