"""`heartfly usage …` against a real server: events in, whose they are, and what came wrong."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from heartfly.clock import SystemClock
from tests.cli.conftest import Run, ok

pytestmark = pytest.mark.e2e


def event(name: str, customer: str, *, ago: timedelta = timedelta(0), figure: str = "1") -> str:
    at = (SystemClock().now() - ago).isoformat()
    named = f'"transaction_id": "{name}", "customer_id": "{customer}", "timestamp": "{at}", "event_type": "call"'
    return f'{{{named}, "properties": {{"n": {figure}}}}}'


def test_events_are_sent_found_and_shown_with_their_figures(run: Run) -> None:
    sent = f"[{event('cli-1', 'acct-1', figure='0.12345678901234567890')}]"

    assert "1 accepted, 0 duplicate" in ok(run("usage", "events", "send", "-", "--dry-run", input=sent))
    assert "1 accepted, 0 duplicate" in ok(run("usage", "events", "send", "-", input=sent))
    assert "0 accepted, 1 duplicate" in ok(run("usage", "events", "send", "-", input=sent))

    assert re.search(r"call +acct-1 +cli-1", ok(run("usage", "events", "list", "--customer-id", "acct-1")))
    assert "There are no such events." in ok(run("usage", "events", "list", "--type", "none"))
    assert '{"n":0.12345678901234567890}' in ok(run("usage", "events", "show", "cli-1"))
    assert 1 == run("usage", "events", "show", "cli-9").exit_code


def test_a_customer_is_added_and_an_alias_moves(run: Run) -> None:
    ok(run("usage", "events", "send", "-", input=event("cli-2", "acct-2")))
    assert re.search(r"acct-2 +1 ", ok(run("usage", "customers", "unknown")))

    acme = json.loads(ok(run("usage", "customers", "add", "Acme", "--alias", "acct-2", "--json")))
    other = ok(run("usage", "customers", "add", "Other", "--alias", "acct-2"))
    back = ok(run("usage", "customers", "alias", acme["id"], "--add", "acct-2", "--add", "x"))
    less = ok(run("usage", "customers", "alias", acme["id"], "--remove", "x"))

    assert "acct-2 was Acme's until now" in other
    assert "acct-2 was Other's until now" in back
    assert f"Acme ({acme['id']}): acct-2\n" == less
    assert re.search(r"^Acme +acct-2 ", ok(run("usage", "customers", "list")), re.MULTILINE)


def test_what_came_wrong_is_listed_replayed_and_dropped(run: Run) -> None:
    late = run("usage", "events", "send", "-", input='[{"transaction_id": "cli-3"}, 7]')

    assert (1, True) == (late.exit_code, "1: rejected, must be an object" in late.output)
    found = json.loads(ok(run("usage", "dead-letters", "list", "--json")))
    assert {"customer_id", ""} == {one["field"] for one in found}
    refused = run("usage", "dead-letters", "replay", found[0]["id"])
    assert (1, True) == (refused.exit_code, "event" in refused.output)
    assert "2 rejected" in ok(run("usage", "dead-letters", "replay", "--all"))
    for one in found:
        assert "It is dropped." in ok(run("usage", "dead-letters", "drop", one["id"]))
    assert "There are none." in ok(run("usage", "dead-letters", "list"))
    assert 2 == run("usage", "dead-letters", "replay").exit_code
