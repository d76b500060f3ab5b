"""How an outgoing request fails: one error, whose attributes say what the sender may do next."""

from __future__ import annotations

from heartfly.errors import HeartflyError


class RequestFailed(HeartflyError):  # noqa: N818 - says what happened; the reply that never came is the error
    """No reply came. The sentence names the host, never the path or query: these are often secrets.

    `ambiguous`: some of the request had been sent, so the receiver may have acted on it.
    `permanent`: the same request can never work (bad URL, forbidden address).
    """

    def __init__(self, message: str, *, ambiguous: bool = False, permanent: bool = False) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous
        self.permanent = permanent
