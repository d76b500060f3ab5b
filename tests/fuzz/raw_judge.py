"""What a server may say to a stream of bytes: the rules by which raw_http.py judges.

Whatever was sent, what came is a row of whole answers. An answer that says what was read (raw_site.py) must say what a
strict reading of the stream finds at that place: so nothing is read in two ways, answered twice, or smuggled in. The
reading here is ours, by RFC 9112, and knows nothing of llhttp. Any other answer is a refusal, which closes and is last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

READ = b"x-read"
REFUSALS = frozenset({400, 431, 501, 503, 505})
"""408 is none of them: nobody here takes so long."""

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\x20-\x7e]*")
_ANSWER_FIELD = re.compile(rb"([a-z0-9-]+): ((?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?)")
_BARE = {204, 304}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Several spaces may stand where one should (RFC 9112, 3): that changes no end of anything.
_REQUEST_LINE = re.compile(rb"(DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE) +([\x21-\x7e]+) +HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_ABSOLUTE = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,20}")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")


class BrokenRuleError(AssertionError):
    """The server has said what it must not, or not said what it must."""


class _UnclearError(Exception):
    """The stream is no request at this place, or not yet."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    read: bytes | None
    closes: bool


@dataclass(frozen=True, slots=True)
class Request:
    """As a strict reader understands it."""

    method: bytes
    target: bytes
    body: bytes | None
    """None: it does not end, or is broken."""
    end: int
    """Where the next one begins."""

    @property
    def told(self) -> bytes:
        assert self.body is not None
        return b"%b %b %d %08x" % (self.method, self.target, len(self.body), crc32(self.body))

    @property
    def told_early(self) -> bytes:
        return b"%b %b - -" % (self.method, self.target)


@dataclass(frozen=True, slots=True)
class Expected:
    honest: int
    """So many requests at the beginning of the stream are beyond doubt."""
    then: str
    """`nothing`: there is no more. `refusal`: then one must be refused. `anything`: of the rest nothing is known."""


def judge(sent: bytes, said: bytes, expected: Expected) -> list[Answer]:
    """Return the answers, interim ones left out, or raise BrokenRuleError."""
    answers = answers_in(said, may_be_cut=expected.then == "anything")
    for answer in answers[:-1]:
        _hold(not answer.closes, "something was said after an answer that closes")
    reads = [answer.read for answer in answers if answer.read is not None]
    for answer in answers:
        if answer.read is None:
            _hold(answer.status in REFUSALS, f"a refusal with {answer.status}")
            _hold(answer.closes, "a refusal that does not close")
        else:
            _hold(answer.status == 200, f"what was read is answered with {answer.status}")
    _compare(sent, reads)
    refused = bool(answers) and answers[-1].read is None
    _hold(len(reads) >= expected.honest, f"{len(reads)} of {expected.honest} honest requests were answered")
    if expected.then == "nothing":
        _hold(not refused, "an honest stream was refused")
    if expected.then != "anything":
        _hold(len(reads) == expected.honest, "more was read than there is, or than may be")
    if expected.then == "refusal":
        # With an answer still due before it the connection just ends: nobody is told why.
        _hold(refused or expected.honest > 0, "what must be refused was not")
    return answers


def judge_whole(sent: bytes, said: bytes, expected: Expected) -> list[Answer]:
    """The same of a whole Heartfly, which does not say what it read: so much of the rules as holds for it."""
    answers = answers_in(said, may_be_cut=expected.then == "anything")
    for answer in answers[:-1]:
        _hold(not answer.closes, "something was said after an answer that closes")
    for answer in answers:
        _hold(answer.status not in {500, 502, 504}, f"an answer with {answer.status}")
    _hold(len(answers) <= sent.count(b"HTTP/") + 1, "there are more answers than requests")
    ends = bool(answers) and answers[-1].closes
    if expected.then == "nothing":
        _hold(len(answers) == expected.honest or ends, f"{len(answers)} of {expected.honest} honest requests answered")
    if expected.then == "refusal":
        # Who is told early, before his body turns out to be broken, is told nothing more.
        _hold(0 < len(answers) <= expected.honest + 1, "what must be refused was not, or more was read than may be")
    return answers


def answers_in(said: bytes, *, may_be_cut: bool = False) -> list[Answer]:
    """`may_be_cut`: the last one, in its chunks, as its reader has shut his side."""
    found: list[Answer] = []
    at = 0
    while at < len(said):
        if said.startswith(_CONTINUE, at):
            at += len(_CONTINUE)
            continue
        head, end, rest = said[at:].partition(b"\r\n\r\n")
        _hold(bool(end), "an answer's head does not end")
        first, *lines = head.split(b"\r\n")
        status = _STATUS_LINE.fullmatch(first)
        if status is None:
            raise BrokenRuleError(f"no status line: {first[:80]!r}")
        fields: dict[bytes, bytes] = {}
        for line in lines:
            field = _ANSWER_FIELD.fullmatch(line)
            if field is None or field[1] in fields.keys() - {b"set-cookie"}:
                raise BrokenRuleError(f"no field, or twice: {line[:80]!r}")
            fields[field[1]] = field[2]
        _hold(b"date" in fields, "an answer without a date")
        read = fields.get(READ)
        try:
            used = _length_of(fields, rest, is_bare=int(status[1]) in _BARE or (read or b"").startswith(b"HEAD "))
        except _UnclearError as unclear:
            if not may_be_cut:
                raise BrokenRuleError(f"an answer's chunks: {unclear}") from unclear
            used = len(rest)
        at += len(head) + len(end) + used
        found.append(Answer(int(status[1]), read, closes=fields.get(b"connection") == b"close"))
    return found


def _length_of(fields: dict[bytes, bytes], rest: bytes, *, is_bare: bool) -> int:
    """Of an answer's body, in bytes on the wire."""
    if is_bare:
        return 0
    if b"content-length" in fields:
        _hold(b"transfer-encoding" not in fields, "an answer with two lengths")
        length = int(fields[b"content-length"])
        _hold(length <= len(rest), "an answer is cut short")
        return length
    if b"transfer-encoding" in fields:
        return _chunks(rest, 0)[1]
    _hold(fields.get(b"connection") == b"close", "an answer without an end")
    return len(rest)


def _compare(sent: bytes, reads: Sequence[bytes]) -> None:
    at: int | None = 0
    for read in reads:
        _hold(at is not None, "a request was read behind one that has no end")
        assert at is not None
        try:
            request = request_at(sent, at)
        except _UnclearError as unclear:
            raise BrokenRuleError(f"read {read!r}, where is none: {unclear}") from unclear
        early = read.endswith(b" - -")
        if request.body is None:
            _hold(early and read == request.told_early, f"read {read!r} of a body that does not end")
            at = None
        else:
            told = request.told_early if early else request.told
            _hold(read == told, f"read {read!r}, and not {told!r}")
            at = request.end


def request_at(stream: bytes, at: int) -> Request:
    while stream[at : at + 1] in {b"\r", b"\n"}:
        at += 1
    end = stream.find(b"\r\n\r\n", at)
    if end < 0:
        raise _UnclearError("the head does not end")
    first, *lines = stream[at:end].split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise _UnclearError("the request line")
    fields = _fields(lines)
    method, target, minor = line.groups()
    hosts = fields.get(b"host", [])
    if len(hosts) > 1 or (minor == b"1" and not hosts):
        raise _UnclearError("the host")
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1:
        raise _UnclearError("more than one length")
    body: bytes | None = b""
    at = end + 4
    if lengths:
        if not _LENGTH.fullmatch(lengths[0]):
            raise _UnclearError("the length")
        length = int(lengths[0])
        body, at = (stream[at : at + length], at + length) if at + length <= len(stream) else (None, at)
    elif codings:
        if minor == b"0" or codings[0].lower() != b"chunked":
            raise _UnclearError("the coding")
        try:
            body, at = _chunks(stream, at)
        except _UnclearError:
            body = None
    return Request(method, _origin(target), body, at)


def _fields(lines: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise _UnclearError(f"the field {line[:80]!r}")
        found.setdefault(field[1].lower(), []).append(field[2])
    return found


def _chunks(stream: bytes, at: int) -> tuple[bytes, int]:
    """The body, and where it ends, trailers included."""
    body = bytearray()
    while True:
        end = stream.find(b"\r\n", at)
        size = _SIZE.fullmatch(stream[at:end]) if end >= 0 else None
        if size is None:
            raise _UnclearError("the size of a chunk")
        length, at = int(size[1], 16), end + 2
        if length == 0:
            break
        body += stream[at : at + length]
        at += length
        if stream[at : at + 2] != b"\r\n":
            raise _UnclearError("a chunk's end")
        at += 2
    if stream.startswith(b"\r\n", at):
        return bytes(body), at + 2
    end = stream.find(b"\r\n\r\n", at)
    if end < 0:
        raise _UnclearError("the trailers do not end")
    if {b"content-length", b"transfer-encoding"} & _fields(stream[at:end].split(b"\r\n")).keys():
        raise _UnclearError("a length among the trailers")
    return bytes(body), end + 4


def _origin(target: bytes) -> bytes:
    """Path and query, as a request target of any form says them; one without a path is of the root."""
    target = target.partition(b"#")[0]
    absolute = _ABSOLUTE.match(target)
    if absolute is not None and not target.startswith(b"/"):
        target = target[absolute.end() :]
        target = target if target.startswith(b"/") else b"/" + target
    if not target.startswith(b"/"):
        raise _UnclearError("the target")
    path, _, query = target.partition(b"?")
    return path + (b"?" + query if query else b"")


def _hold(is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - as an assertion has it
    if not is_so:
        raise BrokenRuleError(otherwise)
