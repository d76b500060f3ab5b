"""What every channel is: a kind, a pace, rules for its configuration, and a way to send.

Also what channels over HTTP have in common: which answers mean delivered, again, or never.
When to send, how often to retry and what is recorded is the dispatcher's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from heartfly.clock import Clock, SystemClock
from heartfly.core.digests import CHOICES
from heartfly.core.words import Cadence
from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.net.http import OutgoingHttp, Reply, RequestFailed
from heartfly.net.rules import Rules
from heartfly.net.urls import check_url
from heartfly.notify.message import Delivery
from heartfly.notify.text import one_line

MASK = "…"
PATIENCE = frozenset({408, 409, 425, 429})
"""Refusals that hold for now only."""
_GOES_ROUND = 508
"""What a Heartfly says to an alert that comes as a ping, or in any other place: it will say so each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    host: str
    port: int
    username: str
    password: str
    security: str
    """`none`, `starttls` or `tls`."""
    from_address: str
    from_name: str
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelContext:
    """What a channel may use to reach the world. `mail` is None: no mail server is configured. `apprise`: addresses by
    their names.
    """

    http: OutgoingHttp
    mail: MailSettings | None
    clock: Clock = field(default_factory=SystemClock)
    apprise: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the operator's settings let channels reach: is there a mail server, which addresses, which of Apprise's."""

    mail: bool = False
    rules: Rules = field(default_factory=Rules)
    apprise: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The receiver took it. `code` is its status, `reply` the start of what it said."""

    code: int | None
    reply: str


class Channel(ABC):
    kind: ClassVar[str]
    folds_storms: ClassVar[bool]
    """Whether many alerts may become one message. Not where machines read: they get every event."""
    fold_limit: ClassVar[int] = 1
    """How many alerts one message can name; more of them are several messages."""
    concurrency: ClassVar[int]
    min_interval_s: ClassVar[float] = 0.0
    """The pace: the least time between two messages to the same receiver."""

    @abstractmethod
    def parse_config(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration as it is stored, or raise InvalidValueError for `config.<field>`."""

    @abstractmethod
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        """Return every text in the configuration that no log or answer may show."""

    @abstractmethod
    def public_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration with its secrets masked."""

    def receiver(self, public: Mapping[str, Any]) -> str:
        """Return where it sends to, out of a public configuration, in a few words."""
        return str(public.get("to") or public.get("url") or public.get("address") or "")

    def for_readers(self, public: Mapping[str, Any]) -> dict[str, Any]:
        """Return of a public configuration what they see who may only read."""
        return dict(public)

    def old_secret_until(self, _config: Mapping[str, Any]) -> datetime | None:
        """Return the end of what a rotation of its secret replaced, past or to come. None: nothing was."""
        return None

    def addresses(self, _config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Every URL that is sent to, after the field that says it, such as `config.url`."""
        return ()

    def hindrance(self, config: Mapping[str, Any], reach: Reach) -> str | None:
        """Why something that this configuration names cannot be reached as the server is set up; None: it may be.

        `config`: as it is shown, secrets masked. The connection decides in the end: what a name leads to is not asked.
        """
        for path, url in self.addresses(config):
            try:
                check_url(url, field=path, rules=reach.rules)
            except InvalidValueError as error:
                what = "" if path.count(".") == 1 else f" to {path}"
                return f"nothing is delivered{what}: {error.message}"
        return None

    @abstractmethod
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        """Deliver, or raise DeliveryError."""


def refuse_unknown(raw: Mapping[str, Any], known: set[str], *, path: str = "config") -> None:
    for name in raw:
        if name not in known:
            raise InvalidValueError(f"{path}.{name}", f"unknown field; known are {', '.join(sorted(known))}")


def text_of(raw: Mapping[str, Any], name: str, *, path: str = "config", limit: int) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidValueError(f"{path}.{name}", "must be a text that is not empty")
    if len(value) > limit:
        raise InvalidValueError(f"{path}.{name}", f"must have at most {limit} characters")
    return value


def digest_in(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return the choice of digests as it is stored: nothing where none was made."""
    value = raw.get("digest")
    if value is None:
        return {}
    if not isinstance(value, str) or value not in CHOICES:
        raise InvalidValueError("config.digest", f"must be one of {', '.join(CHOICES)}; without it there is none")
    return {"digest": value}


def digests_of(config: Mapping[str, Any]) -> frozenset[Cadence]:
    """Return the digests that a stored configuration asks for."""
    return CHOICES.get(config.get("digest", ""), frozenset())


def masked_url(url: str) -> str:
    """Keep scheme and host: path and query of a hook are what gives access to it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{MASK}"


def url_secrets(url: str) -> set[str]:
    """Return the address and its path with query, as either may turn up in an error or a log."""
    parts = urlsplit(url)
    rest = url.removeprefix(f"{parts.scheme}://{parts.netloc}")
    return {url, rest} if len(rest) > 1 else {url}


async def exchange(
    context: ChannelContext,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
    busy: Callable[[Reply], float | None] = lambda _: None,
) -> Receipt:
    """Send one request and judge the answer.

    `busy`: after how many seconds a refusal wants to be asked again, where it says so in a way of its own; then it is
    no refusal for good, whatever its status.
    """
    try:
        reply = await context.http.request(method, url, headers=headers, body=body)
    except RequestFailed as error:
        raise DeliveryError(str(error), permanent=error.permanent, ambiguous=error.ambiguous) from error
    said = one_line(reply.body.decode(errors="replace"), limit=500)
    if 200 <= reply.status < 300:
        return Receipt(code=reply.status, reply=said)
    told = retry_after_s(reply.headers.get("retry-after"), now=context.clock.now())
    wanted = busy(reply)
    raise DeliveryError(
        _refusal(reply.status, said),
        permanent=wanted is None and _is_final(reply.status),
        code=reply.status,
        reply=said,
        retry_after=told if wanted is None else max(wanted, told or 0.0),
    )


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """Read Retry-After, which is seconds or a date (RFC 9110, 10.2.3). None: absent or not readable."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value[:12])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _is_final(status: int) -> bool:
    return (300 <= status < 500 and status not in PATIENCE) or status == _GOES_ROUND


def _refusal(status: int, said: str) -> str:
    if 300 <= status < 400:
        return f"the receiver answered {status}: redirects are not followed"
    return f"the receiver answered {status}" + (f": {said}" if said else "")
