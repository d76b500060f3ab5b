from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from heartfly.cli import main
from tests.sender.receiving import Receiver, event

Run = Callable[..., Result]


@pytest.fixture
def run(receiver: Receiver, tmp_path: Path) -> Run:
    def run(*words: str, given: bytes = b"") -> Result:
        env = {"HEARTFLY_URL": receiver.url, "HEARTFLY_API_KEY": "hf_key", "HEARTFLY_QUEUE": str(tmp_path / "queue")}
        return CliRunner().invoke(main, ["usage", *words], env=env, input=given, prog_name="heartfly")

    return run


def ndjson(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


def test_a_file_is_sent_and_its_end_is_told(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_bytes(ndjson(event(1), event(2)) + b"\n" + ndjson(event(1)).rstrip())

    done = run("send", str(tmp_path / "events.ndjson"), "--alarm-url", f"{receiver.url}/ping/abc")

    assert (0, "2 events accepted, 1 known already.\n") == (done.exit_code, done.output)
    assert [("/ping/abc", "")] == receiver.pings


def test_what_is_put_waits_until_somebody_sends(run: Run, receiver: Receiver) -> None:
    done = run("put", "-", given=ndjson(event(1), event(2)))

    assert (0, "2 events in the queue.\n") == (done.exit_code, done.output)
    assert [] == receiver.bodies
    assert {"accepted": 2, "duplicate": 0, "conflict": 0, "set_aside": 0} == json.loads(run("send", "--json").output)


def test_lines_that_are_no_events_are_set_aside_with_their_number(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    given = ndjson(event(1)) + b"hello\n[1]\n" + ndjson({"customer_id": "acme"}, event(2))

    done = run("send", "-", "--alarm-url", f"{receiver.url}/ping/abc", given=given)

    assert 3 == done.exit_code
    assert "2 events accepted" in done.output
    assert "3 events set aside: see" in done.output
    letters = [json.loads(line) for line in (tmp_path / "queue" / "dead-letter.ndjson").read_text().splitlines()]
    reasons = sorted(letter["reason"].partition(":")[0] for letter in letters)
    assert ["is required", "line 2 is no JSON", "line 3 is no JSON object"] == reasons
    assert {"/ping/abc/fail"} == {path for path, _ in receiver.pings}


def test_a_wrong_key_keeps_all_and_is_an_exit_code_of_its_own(run: Run, receiver: Receiver) -> None:
    receiver.answers = [(401, {}, b"")] * 5

    done = run("send", "-", "--alarm-url", f"{receiver.url}/ping/abc", given=ndjson(event(1)))

    assert 4 == done.exit_code
    assert "/ping/abc/fail" == receiver.pings[0][0]
    receiver.answers = []
    assert "1 event accepted" in run("send").output


def test_patience_that_is_over_is_an_exit_code_of_its_own(run: Run, receiver: Receiver) -> None:
    receiver.answers = [(503, {"Retry-After": "60"}, b"")] * 9

    done = run("send", "-", "--give-up-after", "1s", given=ndjson(event(1)))

    assert 75 == done.exit_code
    assert "what was not accepted is kept in the queue" in done.output


def test_a_full_queue_says_which_lines_it_did_not_take(run: Run) -> None:
    big = ndjson(*(event(n, properties={"x": "y" * 30_000}) for n in range(60)))

    done = run("put", "-", "--max-mb", "1", given=big)

    assert 5 == done.exit_code
    assert "over its bound of 1048576. Line " in done.output
    assert "and those after it were not taken" in done.output


def test_a_file_may_be_larger_than_the_queue_while_it_is_sent(run: Run) -> None:
    big = ndjson(*(event(n, properties={"x": "y" * 30_000}) for n in range(60)))

    done = run("send", "-", "--max-mb", "1", given=big)

    assert (0, "60 events accepted, 0 known already.\n") == (done.exit_code, done.output)


def test_heartbeats_of_one_minute_have_one_id(run: Run, receiver: Receiver) -> None:
    done = run("heartbeat", "--node", "n1", "--customer", "acme")

    assert 0 == done.exit_code, done.output
    (id_,) = receiver.known
    node, _, minute = id_.partition("_")
    sent = json.loads(receiver.known[id_])
    assert "n1" == node
    assert sent["timestamp"].endswith(":00Z")
    assert 28_000_000 < int(minute)


@pytest.mark.e2e
def test_killed_while_the_server_fails_nothing_is_lost(receiver: Receiver, tmp_path: Path) -> None:
    """The command dies with what it has read; the next one sends it, though the file is gone."""
    env = os.environ | {"HEARTFLY_URL": receiver.url, "HEARTFLY_API_KEY": "hf_key"}
    words = [sys.executable, "-m", "heartfly", "usage", "send", "--queue", str(tmp_path / "queue")]
    receiver.answers = [(500, {}, b"")] * 1000
    (tmp_path / "events").write_bytes(ndjson(*(event(n) for n in range(2000))))
    child = subprocess.Popen([*words, str(tmp_path / "events")], env=env, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    child.stderr.readline()
    second = child.stderr.readline()
    os.kill(child.pid, signal.SIGKILL)
    child.wait(60)
    child.stderr.close()
    assert "answered 500; next try in" in second
    (tmp_path / "events").unlink()
    receiver.answers = [(0, {}, b""), (503, {}, b"")]

    done = subprocess.run([*words, "--json"], env=env, capture_output=True, text=True, timeout=60, check=False)

    assert 0 == done.returncode, done.stderr
    assert 2000 == json.loads(done.stdout)["accepted"] == len(receiver.known)


def test_the_distribution_holds_the_same_code_and_needs_nothing_else(tmp_path: Path) -> None:
    """Its sources alone, in an interpreter that sees no other package."""
    root = Path(__file__).resolve().parents[2]
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from heartfly_client import DiskQueue, Sender, Target\n"
        "queue = DiskQueue(sys.argv[2]); queue.put([{'a': 1}])\n"
        "print(queue.bytes_waiting() > 0, 'heartfly' in sys.modules)\n"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(root / "clients" / "python"), str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert "True False\n" == done.stdout, done.stderr
