"""Every error that Heartfly raises on purpose, as one tree.

Named for what is wrong; attributes are for machines, the sentence is for people.
HTTP status codes are not here: api/problems.py maps these to answers.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override


class HeartflyError(Exception):
    """Something is wrong that we expected could be."""

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, also where it was raised in another process: what is made of its arguments may want others."""
        return _as_it_was, (type(self), self.args, dict(vars(self)))


class InvalidValueError(HeartflyError):
    """A value from outside breaks a rule. `field` is its path, such as `schedule.expression`.

    `others`: what else is wrong with what was sent, as far as it was looked at.
    """

    def __init__(self, field: str, message: str, *, others: Sequence[InvalidValueError] = ()) -> None:
        said = f"{field}: {message}" if field else message
        super().__init__("; ".join([said, *(str(other) for other in others)]))
        self.field = field
        self.message = message
        self.others = tuple(others)


class NotFoundError(HeartflyError):
    """Nothing of that name exists for the one who asks. Another tenant's things read the same."""


class ConflictError(HeartflyError):
    """The request contradicts what is stored, such as a name that is taken or a resume of a running check."""


class LimitError(ConflictError):
    """There are as many of them as the settings allow."""

    def __init__(self, what: str, most: int, setting: str) -> None:
        super().__init__(f"{what} {most}, as many as {setting} allows")


class ChangedMeanwhileError(ConflictError):
    """A thing is not any more what the caller saw when he decided (`If-Match`)."""


class AmbiguousSlugError(ConflictError):
    """Two checks share the slug, so a ping cannot tell which one it is for."""


class UnauthenticatedError(HeartflyError):
    """No key, or one that is unknown, expired or revoked."""


class ForbiddenError(HeartflyError):
    """The key is good but lacks the scope."""


class OverloadedError(HeartflyError):
    """We cannot take this now; nothing was stored. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def run_out(error: BaseException) -> OverloadedError | None:
    """What the caller is told if the machine has no more memory, or no thread to give, which needs some. None: it is
    not that.
    """
    is_of_system = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if is_of_system or isinstance(error, MemoryError) or (type(error) is RuntimeError and str(error) == _NO_THREAD):
        return OverloadedError("there is no memory for it now")
    return None


_NO_THREAD = "can't start new thread"
"""CPython's words; it has no kind of error for that."""


class AwayError(OverloadedError):
    """The database cannot be reached. `maybe`: the lane and number of the batch in which it was stored all the same, if
    that was committed; None: it was not.
    """

    def __init__(self, message: str, *, maybe: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.maybe = maybe


class TooManyRequestsError(OverloadedError):
    """Whoever asks does so too often; others are served."""


class StoreError(HeartflyError):
    """The database cannot be used: away, full, damaged, or set up so that it would lose data."""


class SettingsError(HeartflyError):
    """The configuration is wrong. The message names the path of the field."""


class DeliveryError(HeartflyError):
    """A notification did not arrive. `permanent`: trying again cannot help.

    `code` is the receiver's status (HTTP or SMTP) if it gave one, `reply` the start of what it said,
    `retry_after` its own wish in seconds, `ambiguous` whether it may have arrived all the same. `of_recipient`: it was
    this recipient or this mail that was not taken; otherwise no other mail would go either.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        ambiguous: bool = False,
        of_recipient: bool = False,
        code: int | None = None,
        reply: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.ambiguous = ambiguous
        self.of_recipient = of_recipient
        self.code = code
        self.reply = reply
        self.retry_after = retry_after


class ForbiddenAddressError(HeartflyError):
    """An outgoing request would reach an address that Heartfly may not talk to."""


def _as_it_was(kind: type[HeartflyError], said: tuple[Any, ...], facts: Mapping[str, Any]) -> HeartflyError:
    found = kind.__new__(kind, *said)
    found.args = said
    vars(found).update(facts)
    return found
