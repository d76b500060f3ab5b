"""What kind of signal a ping is, once the check's own rules have had their say.

The order is that of Healthchecks, whose clients rely on it: an exit status above 0 is a failure, then
the method rule, then keywords in the body (failure, success, start), which override the URL. But for one
thing: there a keyword, or the lack of one, makes a reported failure a success or nothing at all. A failure
that a job reports by its address stays one: whoever said so meant it.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartfly.core.words import PingKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Keywords looked for in the body, as plain text.

    With any keyword set, a body without one is ignored (or a failure, with `default_fail`).
    """

    start: tuple[str, ...] = ()
    success: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()
    default_fail: bool = False

    def __bool__(self) -> bool:
        return bool(self.start or self.success or self.failure)


def resolve(
    kind: PingKind, *, exit_status: int | None, method: str, body: bytes, methods: str, filters: Filters | None
) -> PingKind:
    """The kind that counts. `methods` is `POST` or empty for any."""
    if exit_status:
        kind = PingKind.FAIL
    if methods == "POST" and method != "POST":
        return PingKind.IGNORED
    if not filters or kind is PingKind.FAIL:
        return kind
    text = body.decode("utf-8", "replace")
    for keywords, meant in (
        (filters.failure, PingKind.FAIL),
        (filters.success, PingKind.SUCCESS),
        (filters.start, PingKind.START),
    ):
        if any(keyword in text for keyword in keywords):
            return meant
    return PingKind.FAIL if filters.default_fail else PingKind.IGNORED
