"""The few parts of uvicorn that the server stands on. They are not documented: an upgrade must pass here first."""

from __future__ import annotations

import inspect
import subprocess
import sys

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def test_the_cycle_takes_what_we_give_it() -> None:
    expected = "scope transport flow logger access_logger access_log default_headers message_event"
    expected += " expect_100_continue keep_alive on_response"

    assert expected.split() == list(inspect.signature(RequestResponseCycle).parameters)


def test_the_cycle_knows_no_more_of_its_connection_than_we_offer() -> None:
    used = set(inspect.getsource(RequestResponseCycle).split("self.transport.")[1:])

    assert {"write", "close", "is_closing"} == {each.partition("(")[0] for each in used}


def test_the_flow_control_has_what_we_call() -> None:
    flow = {name for name, _ in inspect.getmembers(FlowControl, inspect.isfunction)}

    assert {"pause_reading", "resume_reading", "pause_writing", "resume_writing"} <= flow


def test_neither_the_slow_parser_nor_websockets_are_loaded() -> None:
    program = "import sys, heartfly.server; print({'h11', 'websockets', 'wsproto'} & set(sys.modules))"

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert "set()" == found.stdout.strip()
