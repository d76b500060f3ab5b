"""Receivers that hold callers to what vendors document: limits of lengths, forms, credentials, and their errors.

Each takes a request apart as its vendor would and refuses what that refuses. None of them was compared with the vendor
itself, only with what it documents.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.notify.receivers import Request

Judged = tuple[int, object]
"""Status, and what it answers as JSON."""


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def octets(text: str) -> int:
    return len(text.encode())


@dataclass(frozen=True)
class Vendor:
    """`config`: a good one, but for its server or address. `judge`: what it says to a request."""

    config: Mapping[str, str]
    judge: Callable[[Request], Judged]
    at: str = "server"
    """The setting that says where it is."""
    path: str = ""
    """Of an address that is a secret."""
    seconds: tuple[int, Mapping[str, str], object] = (429, {"Retry-After": "7"}, {})
    """How it says that it wants to be asked again after 7 s: status, headers, what it answers."""


def _json(request: Request) -> Any:
    assert "application/json" == request.headers["content-type"]
    return json.loads(request.body)


def _form(request: Request) -> dict[str, str]:
    assert "application/x-www-form-urlencoded" == request.headers["content-type"]
    return dict(parse_qsl(request.body.decode(), strict_parsing=True))


def _discord(request: Request) -> Judged:
    told = _json(request)
    (embed,) = told["embeds"]
    texts = [embed["title"], embed["description"], embed["footer"]["text"]]
    texts += [text for field in embed["fields"] for text in (field["name"], field["value"])]
    fits = (
        units(told["content"]) <= 2_000
        and units(embed["title"]) <= 256
        and units(embed["description"]) <= 4_096
        and len(embed["fields"]) <= 25
        and all(1 <= units(one["name"]) <= 256 and 1 <= units(one["value"]) <= 1_024 for one in embed["fields"])
        and units(embed["footer"]["text"]) <= 2_048
        and sum(map(units, texts)) <= 6_000
        and 0 <= embed["color"] <= 0xFFFFFF
    )
    assert {"parse": []} == told["allowed_mentions"]
    return (204, None) if fits else (400, {"code": 50035, "message": "Invalid Form Body"})


_TAGS = re.compile(r"</?(?:b|pre|a)(?: href=\"[^\"<>]*\")?>|&(?:amp|lt|gt|quot);|[^<>&]", re.DOTALL)


def _telegram(request: Request) -> Judged:
    if request.target != "/bot123456789:canary-token-of-a-bot/sendMessage":
        return 404, {"ok": False, "error_code": 404, "description": "Not Found"}
    told = _json(request)
    if "".join(_TAGS.findall(told["text"])) != told["text"]:
        return 400, {"ok": False, "error_code": 400, "description": "Bad Request: can't parse entities"}
    if not 1 <= units(told["text"]) <= 4_096:
        return 400, {"ok": False, "error_code": 400, "description": "Bad Request: message is too long"}
    assert told["chat_id"] == "-1001234567890"
    assert told["message_thread_id"] == 7
    return 200, {"ok": True, "result": {"message_id": 1}}


def _teams(request: Request) -> Judged:
    if len(request.body) > 28 * 1024:
        return 413, {"error": {"code": "RequestEntityTooLarge"}}
    (attachment,) = _json(request)["attachments"]
    card = attachment["content"]
    assert ("application/vnd.microsoft.card.adaptive", "AdaptiveCard") == (attachment["contentType"], card["type"])
    assert all(block["text"].strip() for block in card["body"] if block["type"] == "TextBlock")
    return 202, None


def _ntfy(request: Request) -> Judged:
    if request.headers.get("authorization") != "Bearer canary-ntfy-token":
        return 403, {"code": 40301, "http": 403, "error": "forbidden"}
    told = _json(request)
    assert ("canary-topic", True) == (told["topic"], told["priority"] in range(1, 6))
    if octets(told["message"]) > 4_096:
        return 400, {"code": 40001, "http": 400, "error": "message too long"}
    return 200, {"id": "x", "event": "message"}


def _pushover(request: Request) -> Judged:
    told = _form(request)
    fits = (
        1 <= len(told["message"]) <= 1_024
        and len(told["title"]) <= 250
        and len(told.get("url", "")) <= 512
        and len(told.get("url_title", "")) <= 100
        and told["priority"] in {"-2", "-1", "0", "1"}
    )
    if not fits or told["token"] != "canarytokenofanapplication0000":
        return 400, {"status": 0, "errors": ["message is too long"]}
    return 200, {"status": 1, "request": "x"}


def _mattermost(request: Request) -> Judged:
    told = _json(request)
    if units(told["text"]) > 16_383 or len(request.body) > 60_000:
        return 400, {"message": "Invalid webhook"}
    return 200, "ok"


def _zulip(request: Request) -> Judged:
    told = _form(request)
    credentials = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    if credentials != "bot@example.com:canary-zulip-key":
        return 401, {"result": "error", "msg": "Invalid API key", "code": "UNAUTHORIZED"}
    assert ("stream", "ops", "/api/v1/messages") == (told["type"], told["to"], request.target)
    if len(told["topic"]) > 60 or octets(told["content"]) > 10_000:
        return 400, {"result": "error", "msg": "Message too long", "code": "BAD_REQUEST"}
    return 200, {"result": "success", "id": 42, "msg": ""}


def _matrix(request: Request) -> Judged:
    if request.headers["authorization"] != "Bearer canary-matrix-token":
        return 401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Unrecognised access token"}
    *_, room, send, kind, transaction = urlsplit(request.target).path.split("/")
    assert ("PUT", "!abc:example.com", "send", "m.room.message") == (request.method, unquote(room), send, kind)
    assert transaction
    if len(request.body) > 65_536:
        return 413, {"errcode": "M_TOO_LARGE", "error": "event too large"}
    assert "m.text" == _json(request)["msgtype"]
    return 200, {"event_id": "$x"}


def _twilio(request: Request) -> Judged:
    told = _form(request)
    credentials = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    if credentials != f"AC{'0' * 32}:canary-twilio-token":
        return 401, {"code": 20003, "message": "Authenticate", "status": 401}
    if units(told["Body"]) > 1_600:
        return 400, {"code": 21617, "message": "The concatenated message body exceeds the 1600 character limit"}
    assert ("+4915112345678", "+4915735980000") == (told["To"], told["From"])
    return 201, {"sid": "SMx", "status": "queued"}


def _pagerduty(request: Request) -> Judged:
    told = _json(request)
    if len(told["routing_key"]) != 32:
        return 400, {"status": "invalid event", "errors": ["Length of 'routing_key' is incorrect"]}
    fits = 1 <= len(told["dedup_key"]) <= 255 and told["event_action"] in {"trigger", "acknowledge", "resolve"}
    if told["event_action"] == "trigger":
        payload = told["payload"]
        fits = (
            fits
            and 1 <= len(payload["summary"]) <= 1_024
            and payload["severity"] in {"critical", "error", "warning", "info"}
            and bool(payload["source"])
            and len(request.body) <= 512 * 1024
        )
    if not fits:
        return 400, {"status": "invalid event", "message": "Event object is invalid"}
    return 202, {"status": "success", "message": "Event processed", "dedup_key": told["dedup_key"]}


def _opsgenie(request: Request) -> Judged:
    if request.headers["authorization"] != "GenieKey canary-opsgenie-key":
        return 403, {"message": "You are not authorized"}
    told = _json(request)
    if urlsplit(request.target).path.endswith("/close"):
        return (202, {"result": "Request will be processed"}) if len(told["note"]) <= 25_000 else (422, {})
    fits = (
        1 <= len(told["message"]) <= 130
        and len(told["alias"]) <= 512
        and len(told["description"]) <= 15_000
        and told["priority"] in {"P1", "P2", "P3", "P4", "P5"}
        and len(told["tags"]) <= 20
        and all(len(tag) <= 50 for tag in told["tags"])
        and len(told["entity"]) <= 512
        and sum(len(name) + len(value) for name, value in told["details"].items()) <= 8_000
    )
    return (202, {"result": "Request will be processed"}) if fits else (422, {"message": "Request body is not valid"})


class GitHub:
    """A repository with its issues."""

    def __init__(self) -> None:
        self.issues: dict[int, dict[str, Any]] = {}
        self.comments: list[tuple[int, str]] = []

    def judge(self, request: Request) -> Judged:
        if request.headers["authorization"] != "Bearer canary-github-token":
            return 401, {"message": "Bad credentials"}
        told = _json(request)
        if request.target == "/graphql":
            return 200, {"data": {"repository": self._found(told["variables"])}}
        *_, place = request.target.partition("/repos/example/ops/issues")
        if request.method == "POST" and not place:
            if not 1 <= len(told["title"]) <= 256 or len(told["body"]) > 65_536:
                return 422, {"message": "Validation Failed"}
            number = len(self.issues) + 1
            self.issues[number] = {"title": told["title"], "state": "open", "labels": told["labels"]}
            return 201, {"number": number}
        number = int(place.split("/")[1])
        if request.method == "PATCH":
            self.issues[number] |= told
            return 200, {"number": number}
        assert place.endswith("/comments")
        self.comments.append((number, told["body"]))
        return 201, {"id": len(self.comments)}

    def _found(self, asked: Mapping[str, Any]) -> object:
        if (asked["owner"], asked["name"]) != ("example", "ops"):
            return None
        nodes = [
            {"number": number, "title": issue["title"]}
            for number, issue in sorted(self.issues.items(), reverse=True)
            if issue["state"] == "open" and asked["label"] in issue["labels"]
        ]
        return {"issues": {"nodes": nodes[: asked["most"]]}}


VENDORS: Mapping[str, Vendor] = {
    "discord": Vendor(
        {}, _discord, at="url", path="/api/webhooks/1/canary",
        seconds=(429, {}, {"message": "You are being rate limited.", "retry_after": 7.0, "global": False}),
    ),
    "teams": Vendor({}, _teams, at="url", path="/workflows/canary"),
    "telegram": Vendor(
        {"token": "123456789:canary-token-of-a-bot", "chat": "-1001234567890", "topic": "7"}, _telegram,
        seconds=(429, {}, {"ok": False, "error_code": 429, "parameters": {"retry_after": 7}}),
    ),
    "mattermost": Vendor({}, _mattermost, at="url", path="/hooks/canary"),
    "zulip": Vendor(
        {"bot": "bot@example.com", "key": "canary-zulip-key", "channel": "ops"}, _zulip,
        seconds=(429, {}, {"result": "error", "code": "RATE_LIMIT_HIT", "retry-after": 7}),
    ),
    "matrix": Vendor(
        {"room": "!abc:example.com", "token": "canary-matrix-token"}, _matrix,
        seconds=(429, {}, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 7_000}),
    ),
    "ntfy": Vendor({"topic": "canary-topic", "token": "canary-ntfy-token"}, _ntfy),
    "pushover": Vendor(
        {"token": "canarytokenofanapplication0000", "user": "canaryuserkey00000000000000000"}, _pushover
    ),
    "sms": Vendor(
        {
            "to": "+4915112345678", "sender": "+4915735980000", "account": f"AC{'0' * 32}",
            "token": "canary-twilio-token",
        },
        _twilio,
    ),
    "pagerduty": Vendor({"key": "canary00000000000000000000000000"}, _pagerduty),
    "opsgenie": Vendor({"key": "canary-opsgenie-key"}, _opsgenie),
    "github": Vendor(
        {"repository": "example/ops", "token": "canary-github-token"}, GitHub().judge,
        seconds=(403, {"X-RateLimit-Remaining": "0", "Retry-After": "7"}, {"message": "API rate limit exceeded"}),
    ),
}  # fmt: skip
