"""One line for each unit of work, with every fact on it and no secret in it.

All logging ends here: `line()` for the canonical lines (ping, request, delivery, job), `logger()` for
warnings and errors, and whatever libraries say through the standard library. Each goes through the
same redaction and becomes one line of JSON, or of plain text on a terminal. What is worth a line is
decided by those who write one.

Redaction errs on the side of silence: of a URL only scheme and host are kept, of a path no UUID and
no ping key, of a query nothing. A check in a log is named by its public id, as a field of its own.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Protocol, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger
from typing_extensions import override

GONE = "[redacted]"
_LONGEST = 8_000
"""Characters of one value. The middle goes: a traceback ends with what matters."""

_SHORT = 40
"""Characters of a text that is worth remembering."""

# Names whose values are secrets whatever they look like.
_SECRET_NAME = re.compile(
    r"(^|_)(pass(word|wd|phrase)?|secret|token|auth(orization)?|cookie|signature|credentials?|dsn|query(_string)?"
    r"|(api|ping|read|secret|private|signing|encryption)_?key|ping_u(uid|rl)|webhook_url)s?($|_)",
    re.IGNORECASE,
)
# The user's name in a URL is optional, and its password may hold anything: what is no host is cut.
_URL = re.compile(
    r"\b([a-z][a-z0-9+.-]{0,30}://)(?:[^\s/?#]*@)?"  # bounded: `a.a.a…` would cost its length squared
    r"(\[[0-9a-f:.]*\]|[a-z0-9.-]*)((?::\d+)?(?=[/?#\s\"'<>)\]]|$))?([^\s\"'<>]*)",
    re.IGNORECASE,
)
_SLACK_HOOK = re.compile(r"(hooks\.slack\.com/)\S*", re.IGNORECASE)
_QUERY = re.compile(r"\?\S+")
_PATH_SECRET = re.compile(
    r"/(?:[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|[a-z0-9_-]{22}(?![a-z0-9_-]))", re.IGNORECASE
)
_PREFIXED = re.compile(r"(hf_|apt_|whsec_)[A-Za-z0-9+/=_-]+")
_SLACK_TOKEN = re.compile(r"xox[a-z]-[A-Za-z0-9-]+")
_AUTHORIZATION = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]+", re.IGNORECASE)
# Loggers of libraries that say too much: httpx and httpcore name every URL, secrets included; uvicorn's
# access log would repeat our request line; apscheduler tells each wake-up.
_QUIET = ("alembic", "httpx", "httpcore", "uvicorn.access", "apscheduler", "asyncio", "aiosqlite")
_MUTE = "mail.log"
"""aiosmtpd's, which tells addresses, of which each is a secret; its faults come to us otherwise."""


class LogSettings(Protocol):
    @property
    def level(self) -> str: ...
    @property
    def format(self) -> str: ...


def configure(
    settings: LogSettings, stream: TextIO, *, now: Callable[[], datetime], secrets: tuple[str, ...] = ()
) -> None:
    """Send everything to `stream`, from now on. `secrets` are exact values never to be written."""
    as_json = settings.format == "json" or (settings.format == "auto" and not stream.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    _sink.aim(stream, as_json=as_json, level=level, now=now, secrets=secrets)
    root = logging.getLogger()
    root.handlers[:] = [_FromStandardLibrary()]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "apscheduler"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.getLogger(_MUTE).setLevel(logging.CRITICAL + 1)
    _wire(level)


def line(event: str, /, *, level: str = "info", **fields: object) -> None:
    """Write the canonical line of one unit of work: at its end, once, with all its facts."""
    _sink.write(event, level, fields)


def logger(source: str) -> FilteringBoundLogger:
    """For what is wrong, with the name of who speaks.

    `log = logger("heartfly.writer")`, then `log.warning("batch_failed", n=3)` or `log.exception("…")`.
    """
    return cast("FilteringBoundLogger", structlog.wrap_logger(None, source=source))


def _wire(level: int) -> None:
    """Structlog binds the context and filters by level; the sink does the rest."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, _hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_nowhere,
        cache_logger_on_first_use=False,
    )


def redact(text: str) -> str:
    """Return the text without anything that looks like a secret."""
    # `in` costs 30 ns and an expression 500: each runs only where it could match (6 of 17 us a ping line).
    if "/" in text:
        if "://" in text:
            text = _URL.sub(_host_only, text)
        text = _SLACK_HOOK.sub(rf"\1{GONE}", _PATH_SECRET.sub(f"/{GONE}", text))
    if "?" in text:
        text = _QUERY.sub(f"?{GONE}", text)
    if "hf_" in text or "whsec_" in text or "apt_" in text:
        text = _PREFIXED.sub(rf"\1{GONE}", text)
    if "xox" in text:
        text = _SLACK_TOKEN.sub(GONE, text)
    if " " in text:
        text = _AUTHORIZATION.sub(rf"\1 {GONE}", text)
    return text


def _host_only(url: re.Match[str]) -> str:
    scheme, host, port, rest = url.groups(default="")
    return f"{scheme}{host}{port}" + (f"/{GONE}" if rest.strip("/") else "")


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


@lru_cache(maxsize=1024)
def _secret_among(*names: str) -> frozenset[str]:
    """Lines of one event have one set of names, so nearly all are known."""
    return frozenset(name for name in names if _is_secret(name))


class _Sink:
    """Where lines go. One lock and one write for each, so that lines of two threads never mix.

    Nothing raised here may reach the caller: a ping must not fail because the log's disk is full.
    What could not be written is counted, and told by the next line that can be.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_lost = 0
        self._stream: TextIO | None = None
        self._as_json = True
        self._level = logging.INFO
        self._now: Callable[[], datetime] | None = None
        self._secrets: re.Pattern[str] | None = None
        self._short = lru_cache(maxsize=4096)(self._clean)
        """Words, names and ids come again and again."""

    def aim(
        self,
        stream: TextIO,
        *,
        as_json: bool,
        level: int,
        now: Callable[[], datetime],
        secrets: tuple[str, ...],
    ) -> None:
        self._stream, self._as_json, self._level, self._now = stream, as_json, level, now
        # The longest first: a secret that begins like another must not leave its tail behind.
        longest_first = sorted((s for s in secrets if s), key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._short.cache_clear()

    def write(self, event: str, level: str, fields: Mapping[str, object]) -> None:
        if _LEVELS.get(level, logging.CRITICAL) < self._level:
            return
        values: dict[str, object] = {}
        if self._now is not None:
            values["at"] = self._now().isoformat(timespec="microseconds")
        values["level"] = level
        values["event"] = self._text(event)
        secret = _secret_among(*fields)
        for name, value in fields.items():
            kind = type(value)
            if name in secret and value:
                values[name] = GONE
            elif kind is str:
                values[name] = self._text(cast("str", value))
            elif kind is int or value is None or kind is bool:
                values[name] = value
            else:
                values[name] = self._value(value)
        self._put(_as_json(values) if self._as_json else _as_text(values))

    def _value(self, value: object) -> object:
        kind = type(value)
        if kind is str:
            return self._text(cast("str", value))
        if kind is int or kind is bool or value is None:
            return value
        if kind is float:
            number = cast("float", value)
            return round(number, 6) if math.isfinite(number) else str(number)
        return self._rare(value)

    def _rare(self, value: object) -> object:
        match value:
            case Mapping():
                return {
                    self._text(str(k)): GONE if _is_secret(str(k)) and v else self._value(v) for k, v in value.items()
                }
            case list() | tuple() | set() | frozenset():
                return [self._value(v) for v in value]
            case datetime():
                return value.isoformat()
            case BaseException():
                return self._text(f"{type(value).__name__}: {value}")
            case bytes():
                return self._text(value.decode(errors="backslashreplace"))
            case _:
                return self._text(str(value))

    def _text(self, text: str) -> str:
        return self._short(text) if len(text) <= _SHORT else self._clean(text)

    def _clean(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub(GONE, text)
        text = redact(text)
        if len(text) > _LONGEST:  # only now: half a secret would not be known for one
            half = _LONGEST // 2
            return f"{text[:half]} … {text[-half:]}"
        return text

    def _put(self, text: str) -> None:
        stream = self._stream or sys.stderr
        with self._lock:
            try:
                if self._n_lost:
                    stream.write(_as_json({"level": "error", "event": "log_lines_lost", "n": self._n_lost}))
                stream.write(text)
                stream.flush()
            except (OSError, ValueError):  # no space, a closed pipe, a closed stream
                self._n_lost += 1
            else:
                self._n_lost = 0


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_sink = _Sink()


def _as_json(values: Mapping[str, object]) -> str:
    # ASCII only: U+2028, NEL, bidi marks and lone surrogates are line ends, tricks or errors to some reader.
    try:
        encoded = msgspec.json.encode(values)  # a seventh of the time of what is right for all
    except (ValueError, OverflowError):  # half a surrogate pair, an integer beyond 64 bits
        return _encode(values) + "\n"
    return (encoded.decode() if encoded.isascii() else _encode(values)) + "\n"


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


def _as_text(values: Mapping[str, object]) -> str:
    """For people on a terminal: time, level, event, then name=value; a traceback below, indented."""
    rest = dict(values)
    event = _visible(str(rest.pop("event")))
    head = [str(rest.pop("at", ""))[11:23], f"{rest.pop('level'):<7}", event]
    trace = str(rest.pop("exception", ""))
    pairs = [f"{name}={_bare(value)}" for name, value in rest.items()]
    below = [f"    | {_visible(row)}" for row in trace.splitlines()]
    return "\n".join([" ".join([*head, *pairs]).strip(), *below]) + "\n"


def _bare(value: object) -> str:
    text = value if isinstance(value, str) else _encode(value)
    plain = text and not any(c in " \"'=" for c in text)
    return _visible(text) if plain or not isinstance(value, str) else f'"{_visible(text)}"'


def _visible(text: str) -> str:
    """Control characters, odd separators and surrogates as escapes, all else as it is."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _hand_over(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last processor of structlog's chain: the sink writes, the chain ends."""
    fields = dict(event)
    failure = fields.pop("exc_info", None)
    if failure:
        fields["exception"] = _trace(failure)
    _sink.write(str(fields.pop("event", "")), str(fields.pop("level", "info")), fields)
    raise structlog.DropEvent


def _trace(failure: object) -> str:
    if isinstance(failure, tuple):
        failure = failure[1]
    if not isinstance(failure, BaseException):
        failure = sys.exception()
    return "".join(traceback.format_exception(failure)).rstrip() if failure else ""


def _nowhere(*_: object) -> structlog.ReturnLogger:
    return structlog.ReturnLogger()


class _FromStandardLibrary(logging.Handler):
    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # the caller's arguments do not fit its format: say what there is
            text = f"{record.msg} {record.args}"
        fields: dict[str, object] = {"source": record.name}
        if record.exc_info:
            fields["exception"] = _trace(record.exc_info)
        _sink.write(text, record.levelname.lower(), fields)


_wire(logging.INFO)  # before configure(), lines go to stderr, without a time
