"""A real server with a small world in it, and somebody who asks it one thing after another and sees what each costs.

What is asked is corpus.py's. A key may ask 600 times a minute, so there are many.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import secrets
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from heartfly.clock import SystemClock
from heartfly.core.access.as_event import TYPE
from heartfly.core.calls import TYPE as CALL
from heartfly.db.types import micros
from heartfly.sealing import digest
from tests.server_process import Server
from tests.single.cost import Cost, Purse
from tests.web.full_house import EMAIL, PASSWORD, House
from tests.web.hook import listening
from tests.web.test_gates import PAGES

LIMIT_S = 300
"""For any answer: to take so long is a finding, and none to break off at."""
_PER_KEY = 500
_TRIES = 1
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Case:
    """One request. `by`: `key`, `hc` (a key as Healthchecks' clients send it), `page` (who is signed in), `nobody`."""

    name: str
    method: str
    path: str
    body: bytes | Callable[[], bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    by: str = "key"


@dataclass(frozen=True, slots=True)
class Told:
    status: int
    cost: Cost


@dataclass
class Site:
    house: House
    ids: dict[str, str]
    """What stands in paths, of things that are there; by the names that the API and the pages have for them."""
    purse: Purse
    fields: dict[str, list[str]] = field(default_factory=dict)
    """Of each form that a page has, by where it is sent."""
    _key: str = ""
    _n_asked: int = _PER_KEY
    _cookie: str = ""
    _token: str = ""
    _n_lost: int = 0
    _connection: http.client.HTTPConnection | None = None

    @property
    def server(self) -> Server:
        return self.house.server

    def filled(self, path: str, **others: str) -> str:
        values = self.ids | others
        return re.sub(r"{(\w+)(?::\w+)?}", lambda found: values[found[1]], path)

    def ask(self, case: Case) -> Told:
        """Measured from before the first byte is sent until after the last is read."""
        headers, body = self._credentials(case), case.body if isinstance(case.body, bytes) else case.body()
        if case.by == "page" and case.method == "POST" and headers.get("Content-Type") == _FORM:
            body = b"form_token=" + urllib.parse.quote(self._token).encode() + b"&" + body
        self.purse.open()
        status, told, _ = self._send(case.method, case.path, body, headers)
        cost = self.purse.spent()
        if case.by == "page" and self._n_lost < _TRIES and told.get("location", "").startswith("/sign-in"):
            self._cookie, self._n_lost = "", self._n_lost + 1  # what was asked before has ended the session
            return self.ask(case)
        self._n_lost = 0
        if status == http.HTTPStatus.TOO_MANY_REQUESTS and case.by == "key" and self._n_asked > 1:
            self._n_asked = _PER_KEY  # that was no answer to what was asked
            return self.ask(case)
        return Told(status, cost)

    def _credentials(self, case: Case) -> dict[str, str]:
        headers = dict(case.headers)
        if case.by == "key":
            self._n_asked += 1
            if self._n_asked > _PER_KEY:
                made = {"name": "asks", "scopes": ["read", "write", "admin", "ingest"]}
                self._key, self._n_asked = self.house.api("POST", "/keys", made)["secret"], 1
            headers.setdefault("Authorization", f"Bearer {self._key}")
        elif case.by == "hc":
            headers["X-Api-Key"] = self.house.key
        elif case.by == "page":
            if not self._cookie:
                self.sign_in()
            headers |= {"Cookie": self._cookie, "Origin": self.server.url}
            headers.setdefault("Content-Type", _FORM)
        return headers

    def _send(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Status 0: the connection was cut."""
        is_kept = self._connection is not None
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=LIMIT_S)
        try:
            self._connection.request(method, path, body or None, dict(headers))
            answer = self._connection.getresponse()
            if answer.headers.get_content_type() == "text/event-stream":
                answer.read1(1)  # it has no end
                self.hang_up()
                return answer.status, {}, b""
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
        except (OSError, http.client.HTTPException):
            self.hang_up()
            if is_kept:  # and was closed meanwhile, as nothing was asked for a while
                return self._send(method, path, body, headers)
            return 0, {}, b""

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def sign_in(self) -> None:
        """As a session that was there: hostile tries to sign in close that door to all who come from here."""
        token, at = secrets.token_urlsafe(32), SystemClock().now()
        with sqlite3.connect(self.server.folder / "heartfly-data" / "heartfly.db", timeout=60) as file:
            row = (micros(at), digest(token), micros(at), micros(at), EMAIL)
            file.execute("INSERT INTO sessions SELECT ?, id, ?, ?, ?, '127.0.0.1', '' FROM users WHERE email = ?", row)
        file.close()
        self._keep_session(f"heartfly={token}")

    def set_up(self) -> None:
        token = self.house.setup_link.partition("=")[2]
        fields = {"token": token, "email": EMAIL, "password": PASSWORD, "again": PASSWORD, "zone": "Europe/Berlin"}
        self._keep_session(self._posted("/setup", fields)["set-cookie"].partition(";")[0])

    def look_at_forms(self) -> None:
        """What each form sends, as the pages have it."""
        for route in PAGES:
            _, _, page = self._send("GET", self.filled(route), b"", {"Cookie": self._cookie})
            forms = re.findall(r"<form\b([^>]*)>(.*?)</form>", page.decode("utf-8", "replace"), re.DOTALL)
            for attributes, inner in forms:
                action = re.search(r'action="([^"?]*)', attributes)
                names = re.findall(r'<(?:input|textarea|select|button)\b[^>]*\bname="([^"]+)"', inner)
                path = self.filled(route) if action is None else action[1]
                known = self.fields.setdefault(path, [])
                known += [name for name in dict.fromkeys(names) if name not in {*known, "form_token"}]

    def _posted(self, path: str, fields: Mapping[str, str]) -> dict[str, str]:
        headers = {"Content-Type": _FORM, "Origin": self.server.url}
        status, told, said = self._send("POST", path, urllib.parse.urlencode(fields).encode(), headers)
        assert status == http.HTTPStatus.SEE_OTHER, (path, status, said[-2000:])
        return told

    def _keep_session(self, cookie: str) -> None:
        self._cookie = cookie
        _, _, page = self._send("GET", "/account/security", b"", {"Cookie": self._cookie})
        found = re.search(r'name="form_token" value="([^"]+)"', page.decode())
        assert found is not None
        self._token = found[1]


@contextlib.contextmanager
def served(server: Server) -> Iterator[Site]:
    """Set up, furnished and filled."""
    with listening() as hook:
        server.settings |= {"OUTGOING__ALLOWED_PORTS": str(hook.port), "LIMITS__EVENTS_PER_MINUTE": "100000000"}
        server.start()
        assert server.process is not None
        house = House(server)
        site = Site(house, {}, Purse(server.process.pid))
        try:
            site.set_up()
            house.furnish(hook)
            hook.will_answer(200, b"taken")
            site.ids |= _ids(house)
            _fill(house)
            site.look_at_forms()
            site.purse.settle(60)
            yield site
        finally:
            site.hang_up()
            server.leave()


def _ids(house: House) -> dict[str, str]:
    """The names of pages, and of the API."""
    api, values = house.api, house.values
    share = api("POST", f"/incidents/{values['incident']}/shares", {})["id"]
    view = api("POST", "/views", {"name": "ours", "q": "tag:etl"})["id"]
    told = api("POST", f"/channels/{values['channel']}/test")["id"]
    while (delivery := api("GET", f"/notifications/{told}")["delivery"]) is None:
        pass
    while not (jobs := api("GET", "/jobs")["items"]):
        pass
    member = api("GET", "/members")["items"][0]["id"]
    report = f"/usage/customers/{values['customer']}/report"
    link = api("POST", f"{report}/shares", {})["id"]
    mail = api("POST", f"{report}/mails", {"rhythm": "month", "addresses": ["a@example.com"]})["id"]
    scope = {"provider": "openai", "customer": "other"}
    invite = api("GET", "/invites")["items"][0]["id"]
    of_pages = {
        "share": share, "view": view, "delivery": delivery["id"], "member": member, "session": "1", "passkey": "1",
        "mail": mail, "name": "pages", "half": "x" * 16, "states": "3", "form": "csv", "invite": invite,
    }  # fmt: skip
    of_api = {
        **{
            f"{name}_id": values[name]
            for name in (
                "check", "channel", "incident", "key", "meter", "customer", "watch", "silence", "rule", "budget",
                "limit", "price", "backfill", "letter", "page",
            )
        },
        "share_id": share, "view_id": view, "notification_id": told, "delivery_id": delivery["id"],
        "job_id": jobs[0]["id"], "user_id": member, "link_id": link, "mail_id": mail, "invite_id": invite,
        "transaction_id": "t-1", "n": "1", "meter_price_id": "1",
        "alert_id": "5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01",
        "reservation": api("POST", "/limits/check", {"scope": scope})["reservation"],
        "uuid": house.checks["up"]["ping_url"].rpartition("/")[2], "ping_uuid": house.checks["up"]["id"],
        "ping_key": api("GET", "/project")["ping_key"],
        "metric_id": api("GET", "/meters/traffic")["id"], "subject_id": "c-1", "event_id": "t-1", "key": "region",
    }  # fmt: skip
    return values | of_pages | of_api


def _fill(house: House) -> None:
    """Three days of events: many customers, many groups, requests to many paths, calls of many models."""
    now = SystemClock().now()
    for part in range(6):
        found: list[dict[str, Any]] = []
        for n in range(part * 1_000, part * 1_000 + 1_000):
            at = (now - timedelta(minutes=4 * (n // 6), seconds=30)).isoformat()
            one = {"transaction_id": f"f-{n}", "customer_id": f"customer-{n % 300}", "timestamp": at}
            found.append(one | _used(n))
        house.api("POST", "/events", found)
    url = house.checks["up"]["ping_url"]
    for n in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", house.server.port, timeout=60)
        connection.request("POST", urllib.parse.urlsplit(url).path, json.dumps({"rows": n, "took": n / 3}))
        connection.getresponse().read()
        connection.close()
    for n in range(60):
        house.api("POST", "/checks", {"name": f"check {n}", "tags": [f"t{n}", "all"], "grace": 60})


def _used(n: int) -> dict[str, Any]:
    """A thing of ours, a request, or a call, in turn."""
    told: dict[str, Any]
    if n % 3 == 0:
        told = {"bytes": n, "region": f"region-{n % 900}", "a": str(n / 7), "b": "0.000001"}
        return {"event_type": "api.request", "properties": told}
    if n % 3 == 1:
        told = {"method": "GET", "route": f"/v1/things-{n % 400}/{{id}}", "path": f"/v1/things-{n % 400}/{n}"}
        told |= {"status": 200 if n % 5 else 500, "latency_ms": n % 900, "key": f"k-{n % 40}"}
        return {"event_type": TYPE, "properties": told}
    told = {"provider": f"p-{n % 20}", "model": f"m-{n % 200}", "units.input_tokens": n, "tags": "a, b"}
    return {"event_type": CALL, "properties": told | {"status": 200, "latency_ms": n % 90}}
