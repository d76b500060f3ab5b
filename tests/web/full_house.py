"""A real server with something on every page: a check of each status, incidents, channels that fail, people and keys.

Made by the API and by pings, as people would make it. What the pages are called is in `values`: the names are those of
the routes' own parameters.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from heartfly.clock import SystemClock
from heartfly.core.access.as_event import TYPE
from heartfly.core.calls import TYPE as CALL
from heartfly.db.types import micros
from heartfly.sealing import digest, load_or_create
from heartfly.traffic import report_stops
from heartfly.traffic.report_stops import Stop
from heartfly.web.endpoint_address import address_of
from tests.server_process import Server
from tests.web.hook import Hook

EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
ASKED_BY = "house" * 8 + "abc"
"""What the browser keeps that has asked for the new password."""
STATUSES = ("down", "late", "degraded", "new", "up", "paused")
OUTPUT = "pg_dump: error: connection to server at 10.0.0.4, port 5432 failed\n" + "".join(
    f"line {n} of what the job said, and it said a lot\n" for n in range(2, 60)
)
BOOK = """# Of all

**Runs** on `db1`; see [the book](https://example.com/x).

- one
- two

```
make again
```
> so it is
"""
_LONG = "A name that goes on and on, for people do that, " + "and_some_have_no_spaces_at_all"


def ping(url: str, body: str = "") -> None:
    with urllib.request.urlopen(url, body.encode() or None, timeout=20) as answer:
        answer.read()


@dataclass
class House:
    server: Server
    values: dict[str, str] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    key: str = ""

    def api(self, method: str, path: str, body: object = None) -> Any:
        return self.server.api(method, f"/v1{path}", self.key, body)

    def path(self, template: str) -> str:
        return re.sub(r"{(\w+)(?::\w+)?}", lambda found: self.values[found[1]], template)

    @property
    def setup_link(self) -> str:
        found = re.search(r"http\S+(/setup\?token=\S+)", (self.server.folder / "server.log").read_text())
        assert found is not None
        return found[1]

    def furnish(self, hook: Hook) -> None:
        """After the setup: whoever did that is Ada."""
        self.key = (self.server.folder / "heartfly-data" / "cli-key").read_text().strip()
        hook.will_answer(503, b"the pager is being repaired")
        mail = self.api("POST", "/channels", {"kind": "email", "name": "Ops", "config": {"to": "ops@example.com"}})
        pager = self.api("POST", "/channels", {"kind": "webhook", "name": "Pager", "config": {"url": hook.url}})
        self._checks()
        incident = self.api("GET", "/incidents?state=open")["items"][0]
        self.api("POST", f"/incidents/{incident['id']}/comments", {"text": "I look at the database.\nIt is full."})
        link = self.api("POST", f"/incidents/{incident['id']}/shares", {"with_comments": True})["url"]
        key = self.api("POST", "/keys", {"name": "deploy", "scopes": ["read", "write"]})
        invite = self.api("POST", "/invites", {"email": "grace@example.com", "role": "viewer"})
        self.api("POST", "/badges/key")
        groups = [{"name": "Data", "items": [{"name": "Backups", "check": self.checks["down"]["id"]}]}]
        status_page = {"slug": "acme", "title": "Acme", "groups": groups, "published": True}
        page = self.api("POST", "/status-pages", status_page)
        self._usage()
        self.values |= {
            "page": page["id"], "slug": "acme", "tag": "checks",
            "project": "main", "check": self.checks["down"]["id"], "n": "2", "incident": incident["id"],
            "channel": pager["id"], "mail_channel": mail["id"], "kind": "webhook", "key": key["id"],
            "token": link.rpartition("/")[2], "invite": invite["id"], "reset": self._reset_token(),
        }  # fmt: skip

    def _checks(self) -> None:
        every_hour = {"kind": "period", "period": 3600}
        nightly = {"kind": "cron", "expression": "30 2 * * *", "zone": "Europe/Berlin"}
        asked: dict[str, dict[str, Any]] = {
            # First, for its five seconds must have passed when it is looked at.
            "late": {"name": "Mirror", "schedule": {"kind": "period", "period": 5}, "grace": 86_400},
            "down": {"name": "Nightly backup", "schedule": nightly, "tags": ["prod", "db"], "description": BOOK},
            "degraded": {"name": "Import", "gates": [{"metric": "rows", "op": ">=", "value": "10", "level": "warn"}]},
            "new": {"name": "Snapshot", "schedule": every_hour},
            "up": {"name": _LONG, "schedule": every_hour, "tags": ["etl", "a-tag-that-is-rather-long-for-a-tag"]},
            "paused": {"name": "Old report", "schedule": every_hour},
            "run": {"name": "Nightly ETL", "schedule": every_hour, "tags": ["etl"]},
        }
        for word, fields in asked.items():
            self.checks[word] = self.api("POST", "/checks", fields)
        url = {word: check["ping_url"] for word, check in self.checks.items()}
        ping(url["late"])
        ping(f"{url['down']}/start?rid=00000000-0000-4000-8000-000000000001")
        ping(f"{url['down']}/3?rid=00000000-0000-4000-8000-000000000001", OUTPUT)
        ping(url["degraded"], "rows=3")
        ping(url["up"], '{"rows": 120, "took": 1.5}')
        self.api("POST", f"/checks/{self.checks['paused']['id']}/pause")
        ping(f"{url['run']}/start")

    def _usage(self) -> None:
        """Events of yesterday, of two who are known by nobody, one that contradicts another, and some that are none."""
        yesterday = SystemClock().now() - timedelta(days=1)
        sent: list[dict[str, Any]] = [
            {
                "transaction_id": f"t-{n}", "customer_id": f"c-{n % 2}", "event_type": "api.request",
                "timestamp": (yesterday - timedelta(minutes=n)).isoformat(),
                "properties": {"bytes": n * 7, "region": "eu" if n % 3 else _LONG},
            }
            for n in range(30)
        ]  # fmt: skip
        sent += self._requests(yesterday)
        sent += self._calls(yesterday)
        contradicts = {**sent[1], "properties": {"bytes": 8}}
        self.api("POST", "/events", [*sent, contradicts, {"transaction_id": "none"}, {"customer_id": _LONG * 3}])
        meter = {"slug": "traffic", "name": _LONG, "unit": "bytes", "event_types": ["api.request"]}
        self.api("POST", "/meters", meter | {"aggregation": "sum", "value": "bytes", "group_keys": ["region"]})
        day = (yesterday - timedelta(days=1)).date().isoformat()
        self.api("POST", "/usage/runs", {"day": day, "dry_run": False})
        customer = self.api("POST", "/customers", {"name": "Acme", "aliases": ["c-1"]})["id"]
        self.api("POST", "/events", [_request(yesterday, n) for n in range(60)])
        report = self.api("POST", f"/usage/customers/{customer}/report/shares", {})
        self.values |= {"link": report["url"].rpartition("/")[2]}
        mailing = {"rhythm": "month", "addresses": [f"{_LONG.replace(' ', '-').replace(',', '')[:60]}@example.com"]}
        mail = self.api("POST", f"/usage/customers/{customer}/report/mails", mailing)
        self.values |= {"stop": self._stop_link(mail["id"], mail["addresses"][0])}
        window = {"kind": "maintenance", "scope": "tag", "targets": [_LONG[:50].strip()], "note": _LONG[:200].strip()}
        self.api("POST", "/silences", window | {"cron": "0 2 * * 0", "lasts": 7200, "zone": "Europe/Berlin"})
        unjudged = {"lasts": 7200, "effect": "ignore", "targets": ["unjudged"]}
        self.api("POST", "/silences", window | unjudged)
        night = {"kind": "quiet", "scope": "project", "cron": "0 22 29 2 *", "lasts": 32400}
        self.values["silence"] = self.api("POST", "/silences", night)["id"]
        watch = self.api("POST", "/usage/watches", {"kind": "endpoint"})
        self.api("POST", "/usage/watches", {"kind": "customer", "what": customer})
        letter = self.api("GET", "/dead-letters")["items"][0]["id"]
        midnight = f"{yesterday.date() - timedelta(days=2)}T00:00:00Z", f"{yesterday.date()}T00:00:00Z"
        wanted = {"name": _LONG, "from": midnight[0], "to": midnight[1], "replaces": True}
        backfill = self.api("POST", "/backfills", wanted)["id"]
        into = [one | {"timestamp": f"{day}T{hour:02}:00:00Z"} for hour, one in enumerate(sent[2:5])]
        self.api("POST", f"/backfills/{backfill}/events", [*into, into[0] | {"transaction_id": _LONG}])
        of_requests = {"of": "requests", "metric": "requests", "window": 3600, "threshold": "3"}
        rule = {"name": _LONG, "by": ["endpoint"], "severity": "high", "conditions": [of_requests], "cooldown": 3600}
        self.values["rule"] = self.api("POST", "/alert-rules", rule)["id"]
        self._budget()
        self.values |= {"watch": watch["id"]}
        self._prices(yesterday)
        self._limits(yesterday)
        self.values |= {"meter": "traffic", "day": day, "letter": letter, "customer": customer, "backfill": backfill}

    def _budget(self) -> None:
        """Of two providers, spent to nine tenths, and one in another currency; its period has the last days whole."""
        now = SystemClock().now()
        calls = [
            {
                "transaction_id": f"p-{n}", "customer_id": "c-1" if n % 2 else _LONG, "event_type": "api.call",
                "timestamp": (now - timedelta(hours=5 * n, minutes=1)).isoformat(),
                "properties": {
                    "provider": "openai" if n % 3 else _LONG, "model": "gpt-5", "cost": "2.345", "currency": "USD",
                } if n else {"provider": "maps", "units.requests": "1"},
            }
            for n in range(20)
        ]  # fmt: skip
        calls[7]["properties"]["currency"] = "EUR"  # type: ignore[index]
        self.api("POST", "/events", calls)
        first = (now - timedelta(days=6)).date().isoformat()
        parts = [{"by": "provider", "name": "openai", "amount": "25"}, {"by": "model", "name": _LONG, "amount": "5"}]
        wanted = {"name": _LONG, "currency": "USD", "amount": "45", "period": "custom", "every_days": 30}
        made = self.api("POST", "/budgets", wanted | {"starts_on": first, "allocations": parts, "low_days": 9})
        self.api("POST", "/budgets", {"name": "All", "currency": "EUR", "amount": None, "period": "unlimited"})
        self.values["budget"] = made["id"]

    def _limits(self, yesterday: datetime) -> None:
        """One that is reached by who has a long name, one nearly so, one that nobody uses; and what was tracked."""
        rule = {"kind": "rolling", "period_s": 3600, "amount": 1, "scope": {"customer": "each"}, "name": _LONG}
        self.values["limit"] = self.api("POST", "/limits", rule)["id"]
        self.api("POST", "/limits", {"kind": "calendar", "window": "month", "amount": "9.5", "unit": "cost:USD"})
        self.api("POST", "/limits", {"kind": "rate", "period_s": 60, "amount": 10, "scope": {"provider": "nobody"}})
        for customer in (_LONG, _LONG, "acme"):
            self.api(
                "POST", "/limits/check",
                {"scope": {"provider": "openai", "customer": customer[:256], "tags": ["a", "b"]}, "cost": {"USD": "4"}},
            )  # fmt: skip
        told = {"provider": "openai", "model": _LONG[:100], "ratelimit.requests.remaining": "59"}
        call = {"customer_id": "acme", "timestamp": yesterday.isoformat(), "event_type": "api.call"}
        self.api("POST", "/events", [call | {"transaction_id": f"call-{n}", "properties": told} for n in range(3)])

    def _requests(self, yesterday: datetime) -> list[dict[str, Any]]:
        """Of two endpoints, one of which fails and is slow, and of a customer with a long name; some just now."""
        self.values["endpoint"] = address_of("GET /v1/orders/{id}").rpartition("/")[2]
        return [
            {
                "transaction_id": f"r-{n}", "customer_id": f"c-{n % 2}" if n % 5 else _LONG, "event_type": TYPE,
                "timestamp": (yesterday + timedelta(days=n % 2, seconds=-n)).isoformat(),
                "properties": {
                    "method": "GET" if n % 3 else "POST", "route": "/v1/orders/{id}" if n % 4 else f"/{_LONG}",
                    "path": f"/v1/orders/{n}", "status": 503 if n % 7 == 0 else 404 if n % 6 == 0 else 200,
                    "latency_ms": 40 * n, "response_bytes": 1_000 * n, "key": "hf_live_ab", "request_id": f"id-{n}",
                },
            }
            for n in range(60)
        ]  # fmt: skip

    def _calls(self, yesterday: datetime) -> list[dict[str, Any]]:
        """To two providers, one of whom has a long name; some told their cost, in two currencies, and some did not."""
        costs: tuple[dict[str, str], ...] = (
            {"cost": "0.0123", "currency": "USD"},
            {"cost": "12345.5", "currency": "EUR"},
            {},
        )
        return [
            {
                "transaction_id": f"call-{n}", "customer_id": f"c-{n % 2}", "event_type": CALL,
                "timestamp": (yesterday + timedelta(days=n % 2, seconds=-n)).isoformat(),
                "properties": {
                    "provider": "openai" if n % 3 else _LONG, "model": "gpt-5" if n % 4 else _LONG, "tags": "a, b",
                    "status": (200, 200, 429, 500)[n % 4], "error": _LONG if n % 4 > 1 else "", "latency_ms": 90 * n,
                    "units.input_tokens": 1_000 + n, **costs[n % 3],
                },
            }
            for n in range(30)
        ]  # fmt: skip

    def _stop_link(self, mail_id: str, to: str) -> str:
        """As it stands at the foot of a mailed report, to the project that is there from the start."""
        with sqlite3.connect(self.server.folder / "heartfly-data" / "heartfly.db", timeout=20) as file:
            (pid,) = file.execute("SELECT pid FROM report_mails WHERE id = ?", (int(mail_id),)).fetchone()
        file.close()
        sealer = load_or_create(self.server.folder / "heartfly-data" / "secret.key")
        return report_stops.address("", Stop(pid, int(mail_id), to), sealer)

    def _prices(self, yesterday: datetime) -> None:
        """Of calls that came yesterday; one with a long name, and one that has another amount since then."""
        price = {
            "provider": "openai",
            "product": "gpt",
            "unit": "input_tokens",
            "amount": "0.0000025",
            "currency": "USD",
        }
        made = self.api("POST", "/prices", price)["id"]
        self.api("PATCH", f"/prices/{made}", {"amount": "0.000002", "from_at": yesterday.isoformat()})
        self.api("POST", "/prices", price | {"product": _LONG, "tier": "batch", "condition": "above_200k_tokens"})
        self.api("POST", "/prices", price | {"provider": "maps", "product": "", "amount": "0.005", "unit": "requests"})
        used = {"provider": "openai", "model": "gpt", "units.input_tokens": "1000"}
        call = {"customer_id": "c-1", "event_type": "api.call", "properties": used}
        at = {"transaction_id": "call-1", "timestamp": yesterday.isoformat()}
        self.api("POST", "/events", [call | at])
        self.api("POST", "/meters/traffic/prices", {"amount": "0.01", "currency": "EUR", "only": {"region": "eu"}})
        self.values |= {"price": made}

    def _reset_token(self) -> str:
        """As if a browser that keeps ASKED_BY had asked, and the mail had come, which no server here can send."""
        token, at = secrets.token_urlsafe(32), SystemClock().now()
        with sqlite3.connect(self.server.folder / "heartfly-data" / "heartfly.db", timeout=20) as file:
            row = (digest(ASKED_BY), digest(token), micros(at), micros(at + timedelta(hours=1)), EMAIL)
            file.execute("INSERT INTO resets SELECT id, ?, ?, ?, ? FROM users WHERE email = ?", row)
        file.close()
        return token


def _request(before: datetime, n: int) -> dict[str, Any]:
    """Of the customer who is known, in the last days before."""
    told = {
        "method": "GET",
        "route": f"/v1/orders/{_LONG if n % 9 == 0 else n % 7}",
        "status": (200, 200, 404, 503)[n % 4],
    }
    return {
        "transaction_id": f"r-{n}", "customer_id": "c-1", "event_type": "http.request",
        "timestamp": (before - timedelta(hours=n)).isoformat(),
        "properties": told | {"latency_ms": 20 + 13 * n, "request_bytes": 120, "response_bytes": 4_000 * n},
    }  # fmt: skip
