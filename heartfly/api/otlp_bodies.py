"""What OpenTelemetry's exporters send, protobuf or JSON, as messages of its own library; and what they are answered.

The library comes with the extra `otlp`. Whatever is sent is bounded before it is read: bytes, and objects of JSON. How
many are read at one time, and what the messages mean, is not known here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any

from heartfly.api.body import NotJsonError
from heartfly.core.nesting import MAX_DEPTH, too_deep, too_many
from heartfly.errors import InvalidValueError, NotFoundError

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_MOST_OBJECTS = 50_000
"""And lists. Of JSON, which is read by Python and not by C."""
_MOST_VALUES = 300_000
"""As of events: of four MiB of zeros Python makes a quarter of a GiB."""
_MAY_BE_HALF = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""A surrogate, as JSON spells it or as it stands; a whole pair is fine."""
_IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})


def read(content: bytes, kind: str, *, media_type: str) -> Any:
    """The request of that kind (`Trace`, `Metrics`, `Logs`). NotJsonError, InvalidValueError, NotFoundError: no
    library is there to read it with. `content`: unpacked; four MiB of empty messages become a third of a GiB.
    """
    message = _message(kind, "Request")
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - of the extra

    if media_type == JSON:
        return _of_json(content, message())
    if media_type != PROTOBUF:
        raise InvalidValueError("Content-Type", f"must be {PROTOBUF} or {JSON}")
    found = message()
    try:
        found.ParseFromString(content)
    except DecodeError as error:
        raise NotJsonError(f"the body is no such message of OTLP: {str(error)[:200]}") from error
    return found


def _of_json(content: bytes, message: Any) -> Any:
    from google.protobuf import json_format  # noqa: PLC0415 - of the extra

    if too_deep(content):
        raise NotJsonError(f"the body must be JSON, nested at most {MAX_DEPTH} deep")
    if max(content.count(b"{"), content.count(b"[")) > _MOST_OBJECTS:
        raise InvalidValueError(
            "", f"the body holds more than {_MOST_OBJECTS} objects or lists; send protobuf, or less at once"
        )
    if too_many(content, _MOST_VALUES):
        raise InvalidValueError("", f"the body holds more than {_MOST_VALUES} values; send protobuf, or less at once")
    try:
        # Of UTF-8 only: json would take bytes of UTF-16 too, of which what is looked for above and below tells nothing.
        found = json.loads(content.decode("utf-8-sig", "surrogatepass"))
        if not isinstance(found, dict):
            raise NotJsonError("the body must be OTLP as JSON: an object")
        if _MAY_BE_HALF.search(content):
            json.dumps(found, ensure_ascii=False).encode()  # half a pair would break protobuf's tables, not its rules
        json_format.ParseDict(_with_ids(found), message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise NotJsonError(f"the body must be OTLP as JSON: {str(error)[:200]}") from error
    return message


def _with_ids(found: Any) -> Any:
    """Ids are hexadecimal in OTLP's JSON, and base64 in everybody else's."""
    if isinstance(found, list):
        return [_with_ids(one) for one in found]
    if not isinstance(found, dict):
        return found
    return {name: _of_hex(value) if name in _IDS else _with_ids(value) for name, value in found.items()}


def _of_hex(value: Any) -> str:
    try:
        return base64.b64encode(bytes.fromhex(value)).decode()
    except (TypeError, ValueError, binascii.Error):
        raise NotJsonError("the body must be OTLP as JSON: traceId and spanId are hexadecimal") from None


def answered(kind: str, media_type: str, *, n_rejected: int = 0, said: str = "") -> bytes:
    """What OTLP answers with 200; `said` of what was rejected, for the exporter's log."""
    answer = _message(kind, "Response")()
    if n_rejected or said:
        setattr(answer.partial_success, _REJECTED[kind], n_rejected)
        answer.partial_success.error_message = said
    if media_type == JSON:
        from google.protobuf import json_format  # noqa: PLC0415 - of the extra

        return json_format.MessageToJson(answer, indent=None).encode()  # type: ignore[no-any-return]
    packed: bytes = answer.SerializeToString()
    return packed


_REJECTED = {"Trace": "rejected_spans", "Metrics": "rejected_data_points", "Logs": "rejected_log_records"}


def _message(kind: str, direction: str) -> Callable[[], Any]:
    try:
        from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs  # noqa: PLC0415 - of the extra
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics  # noqa: PLC0415
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace  # noqa: PLC0415
    except ImportError:
        raise NotFoundError("OTLP is not read here: install heartfly with its extra, 'heartfly[otlp]'") from None
    module = {"Trace": trace, "Metrics": metrics, "Logs": logs}[kind]
    found: Callable[[], Any] = getattr(module, f"Export{kind}Service{direction}")
    return found


_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 3, 422: 3, 429: 8, 503: 14}
"""Those of gRPC, which OTLP has in its errors over HTTP, too."""


def error_of(status: int, detail: str, media_type: str) -> Any:
    """A `google.rpc.Status`: two fields, so that no library is needed for it."""
    code = _CODES.get(status, 13)
    if media_type == JSON:
        return {"code": code, "message": detail}
    text = detail.encode("utf-8", "replace")[:1_000].decode("utf-8", "ignore").encode()
    return b"\x08" + bytes([code]) + b"\x12" + _varint(len(text)) + text


def _varint(n: int) -> bytes:
    return bytes([n]) if n < 0x80 else bytes([n & 0x7F | 0x80, n >> 7])
