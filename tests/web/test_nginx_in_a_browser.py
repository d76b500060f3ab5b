"""A real nginx under load, its log followed: the open page of usage goes along without a reload, to the last one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nginx import Nginx, documented, load
from tests.web.conftest import browser
from tests.web.test_tasks import Place, place
from tests.web.test_traffic_in_a_browser import settled

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "place"]

LIMIT_MS = 240_000
TOTAL = "document.querySelector('#kpis dl a')?.title.replaceAll(',', '')"


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    made = Nginx(tmp_path / "nginx", f"{tmp_path}/access.log heartfly")
    made.start()
    yield made
    made.stop()


def test_what_wrk_asks_of_nginx_is_on_the_page_that_stays_open(place: Place, nginx: Nginx, tmp_path: Path) -> None:
    who = place.person()
    who.page.set_default_timeout(LIMIT_MS)
    who.at("/p/main/usage?range=24h")
    settled(who)
    before = int(who.page.evaluate(TOTAL))
    who.page.evaluate("window.same = 1")
    server = place.house.server
    following = subprocess.Popen(
        [sys.executable, "-m", "heartfly", "usage", "import-logs", "--follow", str(tmp_path / "access.log"), "--json",
         "--format", documented(), "--customer", "field:http_x_customer"],
        cwd=tmp_path, env=server.environment | {"HEARTFLY_URL": server.url, "HEARTFLY_API_KEY": place.house.key},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        answered = load(nginx, seconds=2)
        served = nginx.n_requests() - 2  # the first one asked whether it is there
        who.page.wait_for_function(f"n => {TOTAL} === `${{n}}`", arg=before + served, timeout=LIMIT_MS)
    finally:
        following.send_signal(signal.SIGTERM)
        following.communicate(timeout=LIMIT_MS / 1_000)

    assert answered <= served < answered + 50  # what wrk hung up on was served all the same
    assert 1 == who.page.evaluate("window.same")
    who.at("/p/main/usage?range=24h&endpoint=GET+/users/{id}&endpoint=GET+/orders/{id}&customer=acme&customer=bolt"
           "&customer=cliff&compare=0")  # fmt: skip
    settled(who)
    assert served == int(who.page.evaluate(TOTAL))
