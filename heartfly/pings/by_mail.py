"""What a mail means for a check: in what of it keywords are looked for, and which.

Keywords that a person has set are looked for in its subject and in its text. A client of Healthchecks' API says of each
of the two whether it is looked at; if of neither, every mail is a success, as there.
"""

from __future__ import annotations

from typing import Any

from heartfly.core.filters import Filters, resolve
from heartfly.core.words import PingKind
from heartfly.pings.request import FromMail


def kind_of(kind: PingKind, mail: FromMail, row: Any, filters: Filters | None) -> PingKind:
    """`row`: of the check. `filters`: those of its pings by HTTP."""
    sent = row.filters_as_sent or {}
    by_subject, by_text = bool(sent.get("filter_subject")), bool(sent.get("filter_body"))
    if by_subject or by_text:
        return _resolved(kind, [mail.subject] * by_subject + [mail.text] * by_text, _of_sent(sent))
    if sent.get("filter_http_body"):
        filters = None  # it is asked of bodies alone
    return _resolved(kind, [mail.subject, mail.text], filters)


def _resolved(kind: PingKind, texts: list[str], filters: Filters | None) -> PingKind:
    # A rule about methods is none about mails.
    body = "\n".join(texts).encode("utf-8", "replace")
    return resolve(kind, exit_status=None, method="", body=body, methods="", filters=filters)


def _of_sent(sent: dict[str, Any]) -> Filters:
    start, success, failure = (
        tuple(word.strip() for word in str(sent.get(name) or "").split(",") if word.strip())
        for name in ("start_kw", "success_kw", "failure_kw")
    )
    return Filters(start=start, success=success, failure=failure, default_fail=bool(sent.get("filter_default_fail")))
