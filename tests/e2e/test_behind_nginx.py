"""A real nginx with the configuration of docs/reverse-proxies.md before a real server: pings, pages, and a live page.

Only what depends on the place is changed: ports, certificates, where the log lies.
"""

from __future__ import annotations

import getpass
import http.client
import json
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlencode

import pytest
import trustme

from tests.fair_time import Stopwatch
from tests.server_process import Server, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reverse-proxies.md"
HOST = "beat.example.org"
NOTHING: Mapping[str, str] = MappingProxyType({})
LIMIT_S = 60.0
SOON_S = 5.0
"""A stream that is held back comes when its buffer is full, or after its 9 s of silence."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


@dataclass
class Proxied:
    server: Server
    keys: dict[str, str]
    folder: Path
    port: int
    plain_port: int

    @contextmanager
    def asked(
        self, method: str, path: str, body: bytes = b"", *, plain: bool = False, headers: Mapping[str, str] = NOTHING
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer that is read as it comes."""
        if plain:
            connection = http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=LIMIT_S)
        else:
            context = ssl.create_default_context(cafile=str(self.folder / "authority.pem"))
            context.check_hostname = False  # it is asked at an address
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=LIMIT_S, context=context)
        with closing(connection):
            connection.request(method, path, body or None, {"Host": HOST, **headers})
            with connection.getresponse() as answer:
                yield answer

    def ask(
        self, method: str, path: str, body: bytes = b"", *, plain: bool = False, headers: Mapping[str, str] = NOTHING
    ) -> Answer:
        with self.asked(method, path, body, plain=plain, headers=headers) as answer:
            return Answer(answer.status, answer.headers, answer.read())

    def session(self) -> str:
        sent = urlencode({"email": "ada@example.com", "password": "correct horse battery"}).encode()
        form = {"Origin": f"https://{HOST}", "Content-Type": "application/x-www-form-urlencoded"}
        answer = self.ask("POST", "/sign-in", sent, headers=form)
        assert 303 == answer.status, answer.body
        return str(answer.headers["Set-Cookie"]).partition(";")[0]


def documented() -> str:
    found = re.search(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def configured(folder: Path, *, behind: int, tls: int, plain: int) -> Path:
    """What is documented, inside of as little as nginx must have around it."""
    certificate = trustme.CA()
    certificate.cert_pem.write_to_path(folder / "authority.pem")
    certificate.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    here = documented()
    for told, instead in {
        "127.0.0.1:8000": f"127.0.0.1:{behind}",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ": f"listen 127.0.0.1:{tls} ",
        f"/etc/letsencrypt/live/{HOST}/fullchain.pem": f"{folder}/both.pem",
        f"/etc/letsencrypt/live/{HOST}/privkey.pem": f"{folder}/both.pem",
        "/var/log/nginx/": f"{folder}/",
    }.items():
        assert told in here
        here = here.replace(told, instead)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    own = f"user {getpass.getuser()}; daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}"
    path = folder / "nginx.conf"
    path.write_text(f"{own} http {{ {places}\n{here} }}", encoding="utf-8")
    return path


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx here: apt-get install nginx")
    settings = {"SERVER__BASE_URL": f"https://{HOST}", "SERVER__TRUSTED_PROXIES": "127.0.0.1/32"}
    server = Server(tmp_path, settings)
    keys = server.init()
    server.start()
    folder = tmp_path / "nginx"
    folder.mkdir()
    tls, plain = free_port(), free_port()
    file = configured(folder, behind=server.port, tls=tls, plain=plain)
    words = [program, "-c", str(file), "-e", str(folder / "error.log")]
    checked = subprocess.run([*words, "-t"], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert 0 == checked.returncode, checked.stderr
    assert "[warn]" not in checked.stderr
    process = subprocess.Popen(words)
    made = Proxied(server, keys, folder, tls, plain)
    ends = time.perf_counter() + LIMIT_S
    try:
        while True:
            try:
                made.ask("GET", "/healthz")
                break
            except ConnectionError:
                assert process.poll() is None, (folder / "error.log").read_text()
                assert time.perf_counter() < ends
        yield made
    finally:
        process.terminate()
        process.wait(LIMIT_S)
        server.kill()


def test_behind_it_all_works_and_its_log_has_no_ping_address(proxied: Proxied) -> None:
    made = proxied.server.api("POST", "/v1/checks", proxied.keys["api_key"], {"name": "x", "slug": "nightly"})
    of_uuid = made["ping_url"].removeprefix(f"https://{HOST}")
    of_slug = f"/ping/{proxied.keys['ping_key']}/nightly"
    said = b"a long output\n" * 300_000

    pinged = [
        proxied.ask("GET", of_uuid),
        proxied.ask("POST", of_slug, said),
        proxied.ask("POST", f"{of_slug}/1", b"x"),
    ]
    assert [200, 200, 200] == [answer.status for answer in pinged]
    assert {"max-age=31536000"} == {answer.headers["Strict-Transport-Security"] for answer in pinged}

    # A page: its session, and rows that come as they change.
    cookie = proxied.session()
    page = proxied.ask("GET", "/p/acme/checks", headers={"Cookie": cookie})
    assert (200, ["max-age=31536000"]) == (page.status, page.headers.get_all("Strict-Transport-Security"))
    with proxied.asked("GET", "/p/acme/live", headers={"Cookie": cookie}) as stream:
        assert "text/event-stream" == str(stream.headers["Content-Type"]).partition(";")[0]
        until(stream, b"event: tick")
        watch = Stopwatch()
        assert 200 == proxied.ask("GET", of_uuid).status
        until(stream, made["id"].encode())
        assert watch.fair_s() < SOON_S

    # Who asks is known by what nginx says, whatever he says himself.
    proxied.ask("POST", "/sign-in", b"email=a&password=b", headers={"X-Forwarded-For": "203.0.113.9"})
    tries = [json.loads(line) for line in (proxied.server.folder / "server.log").read_text().splitlines()
             if '"route":"/sign-in"' in line.replace(" ", "")]  # fmt: skip
    assert {"127.0.0.1"} == {one["client"] for one in tries if one["method"] == "POST"}

    # Nobody reads the metrics, and over plain http a program fails where a person is led on.
    assert 404 == proxied.ask("GET", "/metrics").status
    assert [403, 403, 403, 301] == [
        proxied.ask("GET", path, plain=True).status for path in (of_uuid, of_slug, "/v1/checks", "/p/acme/checks")
    ]
    log = (proxied.folder / "heartfly.log").read_text()
    assert "GET /ping/- 200" in log
    assert "POST /ping/- 200" in log
    assert proxied.keys["ping_key"] not in log
    assert made["ping_url"].rpartition("/")[2] not in log


def until(stream: http.client.HTTPResponse, words: bytes) -> None:
    """Read it as it comes. The connection's own limit ends a wait for what never does."""
    heard = b""
    while words not in heard:
        line = stream.readline()
        assert line, heard
        heard += line
