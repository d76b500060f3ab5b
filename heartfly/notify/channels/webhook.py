"""Webhooks: each event as signed JSON, or as the owner's own template says.

Signatures follow Standard Webhooks. The JSON is event.py's, templates are placeholders.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from typing_extensions import override

from heartfly.core.words import AlertKind
from heartfly.errors import InvalidValueError
from heartfly.net.headers import check_headers
from heartfly.net.urls import parse_target
from heartfly.notify.channels.base import (
    MASK,
    Channel,
    ChannelContext,
    Receipt,
    exchange,
    masked_url,
    refuse_unknown,
    text_of,
    url_secrets,
)
from heartfly.notify.message import Delivery
from heartfly.notify.placeholders import Values, in_address, in_body, in_header
from heartfly.notify.signature import is_secret, signed_headers

METHODS = ("POST", "PUT", "GET")
MAX_SECRETS = 3
RETIRED = "retired"
"""Where a stored configuration keeps the secrets that a rotation replaced, with their end. Nobody can ask for it."""
MAX_HEADERS = 20
_REQUEST_FIELDS = {"url", "method", "headers", "body"}
_SIGNED_BY_US = re.compile(r"webhook-(id|timestamp|signature)", re.IGNORECASE)


class WebhookChannel(Channel):
    kind: ClassVar[str] = "webhook"
    folds_storms: ClassVar[bool] = False
    concurrency: ClassVar[int] = 30

    @override
    def parse_config(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """`down` and `up`: what differs for alerts of a beginning and an end, any of url, method, headers, body."""
        refuse_unknown(raw, _REQUEST_FIELDS | {"secrets", "down", "up"})
        if "url" not in raw:
            raise InvalidValueError("config.url", "is required")
        config = _parse_request(raw, path="config")
        if "secrets" in raw:
            config["secrets"] = _parse_secrets(raw["secrets"])
        for direction in ("down", "up"):
            if raw.get(direction) is not None:
                path = f"config.{direction}"
                own = _mapping(raw[direction], path)
                refuse_unknown(own, _REQUEST_FIELDS, path=path)
                config[direction] = _parse_request(own, path=path)
        for field, own in (
            ("config", {}),
            ("config.down", config.get("down", {})),
            ("config.up", config.get("up", {})),
        ):
            request = config | own
            if request.get("method") == "GET" and "body" in request:
                raise InvalidValueError(f"{field}.body", "cannot be sent with GET")
        return config

    @override
    def secrets(self, config: Mapping[str, Any]) -> set[str]:
        requests = _requests(config)
        headers = {value for request in requests for value in request.get("headers", {}).values()}
        urls = {part for request in requests if "url" in request for part in url_secrets(request["url"])}
        olds = config.get(RETIRED, {}).get("secrets", ())
        return {*config.get("secrets", ()), *olds, *headers, *urls} - {""}

    @override
    def public_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        public = _masked_request(config)
        if "secrets" in config:
            public["secrets"] = [f"{secret[:6]}{MASK}" for secret in config["secrets"]]
        return public | {d: _masked_request(config[d]) for d in ("down", "up") if d in config}

    @override
    def for_readers(self, public: Mapping[str, Any]) -> dict[str, Any]:
        """A body is its owner's own text, in which tokens stand as often as in headers."""
        shown = dict(public) | ({"body": MASK} if "body" in public else {})
        return shown | {d: self.for_readers(public[d]) for d in ("down", "up") if d in public}

    @override
    def old_secret_until(self, config: Mapping[str, Any]) -> datetime | None:
        return _retired_until(config)

    @override
    def addresses(self, config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        parts = zip(("config", "config.down", "config.up"), _requests(config), strict=True)
        return [(f"{path}.url", request["url"]) for path, request in parts if "url" in request]

    @override
    async def send(self, delivery: Delivery, config: Mapping[str, Any], context: ChannelContext) -> Receipt:
        request = dict(config) | dict(config.get(_direction(delivery), {}))
        method = request.get("method", "POST")
        values = Values(delivery)
        headers = {name: in_header(value, values) for name, value in request.get("headers", {}).items()}
        body = _body(request, headers, values) if method != "GET" else b""
        now = context.clock.now()
        secrets = [*config.get("secrets", ()), *retired(config, now).get(RETIRED, {}).get("secrets", ())]
        headers |= signed_headers(delivery.id, sent_at=now, body=body, secrets=secrets)
        url = in_address(request["url"], values)
        return await exchange(context, method, url, headers=headers, body=body)


def rotated(config: Mapping[str, Any], secret: str, *, until: datetime | None) -> dict[str, Any]:
    """The configuration with a new secret. Those so far sign beside it before `until`; None: not at all.

    Secrets that were retired by an earlier rotation end now.
    """
    rest = {name: value for name, value in config.items() if name not in {"secrets", RETIRED}}
    olds = config.get("secrets", ())
    ending = {RETIRED: {"secrets": list(olds), "until": until.isoformat()}} if until is not None and olds else {}
    return {**rest, "secrets": [secret], **ending}


def retired(config: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What an edit that keeps the secrets keeps of a rotation: those that still sign, with their end."""
    until = _retired_until(config)
    return {RETIRED: config[RETIRED]} if until is not None and now < until else {}


def _retired_until(config: Mapping[str, Any]) -> datetime | None:
    return datetime.fromisoformat(config[RETIRED]["until"]) if RETIRED in config else None


def _direction(delivery: Delivery) -> str:
    match delivery.alerts[-1].kind:
        case AlertKind.DOWN | AlertKind.RULE_FIRING | AlertKind.BUDGET_REACHED:
            return "down"
        case AlertKind.UP | AlertKind.RULE_RESOLVED | AlertKind.BUDGET_CLEARED:
            return "up"
        case _:
            return ""


def _body(request: Mapping[str, Any], headers: dict[str, str], values: Values) -> bytes:
    """Return the body, and name its type in `headers` unless the owner did."""
    template = request.get("body")
    given = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    if template is None:
        if given is None:
            headers["Content-Type"] = "application/json"
        return values.event_json
    content_type = given or _type_of(template)
    if given is None:
        headers["Content-Type"] = content_type
    return in_body(template, values, content_type=content_type.lower()).encode()


def _type_of(template: str) -> str:
    return "application/json" if template.lstrip()[:1] in {"{", "["} else "text/plain; charset=utf-8"


def _parse_request(raw: Mapping[str, Any], *, path: str) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if raw.get("url") is not None:
        config["url"] = _parse_url(text_of(raw, "url", path=path, limit=1_000), field=f"{path}.url")
    if raw.get("method") is not None:
        method = raw["method"]
        if method not in METHODS:
            raise InvalidValueError(f"{path}.method", f"must be one of {', '.join(METHODS)}")
        config["method"] = method
    if raw.get("headers") is not None:
        config["headers"] = _parse_headers(raw["headers"], field=f"{path}.headers")
    if raw.get("body") is not None:
        config["body"] = _encodable(text_of(raw, "body", path=path, limit=20_000), field=f"{path}.body")
    return config


def _parse_url(url: str, *, field: str) -> str:
    url = url.strip()
    parse_target(url, field=field)  # a placeholder in the host is refused by this: `$` is in no host name
    return url


def _parse_headers(raw: object, *, field: str) -> dict[str, str]:
    headers = _mapping(raw, field)
    if len(headers) > MAX_HEADERS:
        raise InvalidValueError(field, f"must be at most {MAX_HEADERS}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str) or len(value) > 1_000:
            raise InvalidValueError(field, "must be texts of at most 1000 characters, by name")
        if _SIGNED_BY_US.fullmatch(name):
            raise InvalidValueError(field, f"{name} is set by Heartfly itself")
    check_headers(headers, field=field)
    return dict(headers)


def _parse_secrets(raw: object) -> list[str]:
    if not isinstance(raw, (list, tuple)) or len(raw) > MAX_SECRETS:
        raise InvalidValueError("config.secrets", f"must be a list of at most {MAX_SECRETS}")
    for secret in raw:
        if not isinstance(secret, str) or not is_secret(secret):
            raise InvalidValueError("config.secrets", "must each be whsec_ and the base64 of 24 to 64 bytes")
    return list(raw)


def _mapping(raw: object, field: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise InvalidValueError(field, "must be an object")
    return raw


def _encodable(text: str, *, field: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidValueError(field, "contains half a surrogate pair") from error
    return text


def _requests(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [config, config.get("down", {}), config.get("up", {})]


def _masked_request(request: Mapping[str, Any]) -> dict[str, Any]:
    public = {name: request[name] for name in ("method", "body") if name in request}
    if "url" in request:
        public["url"] = masked_url(request["url"])
    if "headers" in request:
        public["headers"] = dict.fromkeys(request["headers"], MASK)
    return public
