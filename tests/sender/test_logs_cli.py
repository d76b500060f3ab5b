"""`heartfly usage import-logs`: a real log against a real server, and what may happen to files meanwhile."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from heartfly.cli import main
from heartfly.cli.event_import import how_far
from heartfly.cli.log_files import Lines, Tail
from tests.sender.logs import NOW, Run, importing, line, sent
from tests.sender.receiving import Receiver


@pytest.fixture
def run(receiver: Receiver) -> Run:
    return importing(receiver)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_bytes(line(1) + line(2) + line(2) + b"\n")
    return path


def summary(result: Result) -> Any:
    return json.loads(result.stdout)


def test_each_line_is_an_event_and_imported_again_none_is_new(run: Run, receiver: Receiver, log: Path) -> None:
    assert "3 lines: 3 requests, 0 that cannot be read.\n3 events accepted, 0 known already.\n" == run(log).output
    assert "3 lines: 3 requests, 0 that cannot be read.\n0 events accepted, 3 known already.\n" == run(log).output

    assert [1, 2, 2] == sorted(one["properties"]["response_bytes"] for one in sent(receiver))
    assert {"http.request"} == {one["event_type"] for one in sent(receiver)}
    assert {"/v1/events?dry_run=true", "/v1/events"} == {head["path"] for head in receiver.headers}
    assert {"Bearer hf_key"} == {head["authorization"] for head in receiver.headers}


def test_rotated_packed_copied_or_through_a_pipe_it_is_the_same_events(
    run: Run, receiver: Receiver, log: Path, tmp_path: Path
) -> None:
    run(log)
    packed = tmp_path / "renamed.3"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    later = [line(n, at=NOW + timedelta(hours=2)) for n in range(3)]

    told = [run("--json", packed), run("--json", log, packed), run("--json", "-", given=log.read_bytes())]
    both = run("--json", "-", given=b"".join(later) + log.read_bytes())
    part = run("--json", "-", given=gzip.compress(b"".join(later[1:])))

    assert [(0, 3), (0, 6), (0, 3)] == [(s["accepted"], s["duplicate"]) for s in (summary(r)["sent"] for r in told)]
    assert (3, 3) == (summary(both)["sent"]["accepted"], summary(both)["sent"]["duplicate"])
    assert 2 == summary(part)["sent"]["duplicate"]
    assert 6 == len(receiver.known)


def test_a_pipe_that_has_a_name_is_read_to_its_end(run: Run, tmp_path: Path) -> None:
    """As `<(zcat access.log.gz)` of a shell is."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    lines = b"".join(map(line, range(5_000)))
    writer = threading.Thread(target=fifo.write_bytes, args=(lines,), daemon=True)
    writer.start()

    done = run("--dry-run", "--json", fifo)

    assert (0, 5_000, []) == (done.exit_code, summary(done)["requests"], summary(done)["failed"])


def test_a_last_line_without_its_end_is_left_until_it_has_one(run: Run, receiver: Receiver, log: Path) -> None:
    log.write_bytes(line(1) + line(23)[:-14])

    first = run(log)
    log.write_bytes(line(1) + line(23))
    second = run(log)

    assert "its last line has no end yet" in first.output
    assert "1 event accepted, 0 known already." in first.output
    assert "1 event accepted, 1 known already." in second.output
    assert [1, 23] == [one["properties"]["response_bytes"] for one in sent(receiver)]


def test_lines_that_cannot_be_read_are_counted_shown_and_stop_nothing(run: Run, receiver: Receiver, log: Path) -> None:
    log.write_bytes(
        line(1) + b"what?\xff\n" + b"x" * 2_000_000 + b"\n" + line(2).replace(b"\n", b"\r\n") + b"\x16\x03\n"
    )

    result = run(log)

    assert 0 == result.exit_code
    assert "5 lines: 2 requests, 3 that cannot be read." in result.output
    assert "2 lines: is of no known format; say which with --format" in result.output
    assert "1 line: is longer than 65536 characters" in result.output
    assert f"    {log}:2: what?\N{REPLACEMENT CHARACTER}\n" in result.output
    assert f"    {log}:5: \N{REPLACEMENT CHARACTER}" in result.output
    assert 2 == len(receiver.known)


def test_a_file_of_which_nothing_can_be_read_is_a_failure(run: Run, log: Path, tmp_path: Path) -> None:
    log.write_bytes(b"hello\n")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(line(1) * 2_000, 0)[:-500])
    empty = tmp_path / "empty.log"
    empty.write_bytes(b"")

    assert 1 == run(log).exit_code
    assert 0 == run(empty).exit_code
    gone = run(log, tmp_path / "gone.log", cut, "--json")
    assert 1 == gone.exit_code
    assert 2 == len(summary(gone)["failed"])
    assert "gone.log: No such file" in summary(gone)["failed"][0]
    assert "cut.gz: Compressed file ended" in summary(gone)["failed"][1]
    assert 1_900 < summary(gone)["sent"]["accepted"] < 2_000


def test_customers_routes_addresses_and_a_source(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text("\ufeffada,Acme Inc.\n")
    (tmp_path / "routes").write_text("/users/{name}\n")
    options = ["--customer", "user", "--customers", tmp_path / "customers.csv", "--routes", tmp_path / "routes"]

    done = run("-", *options, "--ip", "hash", "--ip-secret", "s", "--source", "web-1", given=line(1))

    assert 0 == done.exit_code, done.output
    (event,) = sent(receiver)
    assert "Acme Inc." == event["customer_id"]
    found = event["properties"]
    assert ("/users/{name}", "web-1", 16) == (found["route"], found["source"], len(found["ip"]))
    assert "1 event accepted" in run("-", "--ip", "drop", given=line(1)).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "apache"], "--format apache is none of auto"),
        (["--format", "$status"], "--format has no time in it"),
        (["--format", "@/nowhere"], "--format @/nowhere: No such file"),
        (["--field", "status"], "--field status is not NAME=PATH"),
        (["--field", "verb=x"], "--field verb is not one of"),
        (["--customer", "header:x"], "--customer header:x is none of"),
        (["--customers", "{csv}"], "say with --customer where"),
        (["--customers", "{bad}", "--customer", "user"], "--customers, line 1 is not VALUE,CUSTOMER"),
        (["--customers", "{latin}", "--customer", "user"], "--customers is no text in UTF-8"),
        (["--customers", "{long}", "--customer", "user"], "--customers is no CSV: field larger than"),
        (["--routes", "{latin}"], "--routes is no text in UTF-8"),
        (["--routes", "{bad}"], "--routes, line 1: is neither a route"),
        (["--source", "x" * 101], "--source must be up to 100"),
        (["--ip", "hash"], "needs a --ip-secret"),
        (["--since", "2026-99-99"], "--since 2026-99-99 is no span"),
        (["--follow", "-"], "--follow is for files"),
    ],
)
def test_what_is_not_understood_is_said(run: Run, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "csv").write_text("a,b\n")
    (tmp_path / "bad").write_text("a\n")

    (tmp_path / "latin").write_bytes(b"caf\xe9,b\n")
    (tmp_path / "long").write_text("a" * 140_000 + ",b\n")
    there = {path.name: path for path in tmp_path.iterdir()}

    refused = run(tmp_path / "csv", *(word.format(**there) for word in words))

    assert (2, True) == (refused.exit_code, said in re.sub(r"[│\s]+", " ", refused.output)), refused.output


def test_a_format_from_a_file_and_fields_of_json(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "nginx").write_text("log_format x '$msec $request_method $uri $request_time';")

    run("-", "--format", f"@{tmp_path / 'nginx'}", given=f"{NOW.timestamp():.3f} GET /a 0.25\n".encode())
    told = json.dumps({"time": f"{NOW:%Y-%m-%dT%H:%M:%SZ}", "what": "/b", "who": "acme"})
    run("-", "--field", "path=what", "--customer", "field:who", given=told.encode() + b"\n")

    assert [("/a", 250), ("/b", None)] == [
        (one["properties"]["path"], one["properties"].get("latency_ms")) for one in sent(receiver)
    ]
    assert ["anonymous", "acme"] == [one["customer_id"] for one in sent(receiver)]


def test_a_dry_run_says_what_would_be_sent_and_needs_no_server(log: Path, tmp_path: Path) -> None:
    env = {"HEARTFLY_URL": "http://127.0.0.1:9", "HEARTFLY_DATA__DIR": str(tmp_path)}

    def dry(*words: str, given: bytes = b"") -> Result:
        return CliRunner().invoke(main, ["usage", "import-logs", "--dry-run", *words], env=env, input=given)

    done = dry(str(log))
    assert (0, True) == (done.exit_code, "3 events would be sent, from " in done.output), done.output
    assert re.search(r"1 route, the most frequent:\n +3  GET /users/\{id\}\n1 customer,", done.output)
    assert '"event_type":"http.request"' in done.output
    assert {"GET /users/{id}": 3} == summary(dry(str(log), "--json"))["routes"]
    assert "Nothing would be sent." in dry("-").output


def test_what_is_too_old_or_ahead_is_not_sent(run: Run, receiver: Receiver) -> None:
    days = [line(n, at=NOW - timedelta(days=n)) for n in (30, 20, 10, 0, -3)]
    rejected = {"outcome": "rejected", "field": "timestamp", "reason": "is before"}
    good = {"outcome": "accepted", "field": None, "reason": None}
    receiver.answers = [(200, {}, json.dumps({"results": [rejected, rejected, good, good]}).encode())]

    done = run("-", given=b"".join(days))

    assert 0 == done.exit_code
    assert "1 request more than a day ahead, 2 requests from before events are kept." in done.output
    assert "2 events accepted" in done.output
    assert {10, 0} == {one["properties"]["response_bytes"] for one in sent(receiver)}
    assert "2 requests before --since" in run("-", "--since", "15d", given=b"".join(days[:4])).output
    assert "4 requests, 0 that" in run("-", "--since", "2015-01-01", given=b"".join(days[:4])).output


def test_what_the_server_rejects_is_told_with_its_reason(run: Run, receiver: Receiver, log: Path) -> None:
    good = {"outcome": "accepted", "field": None, "reason": None}
    bad = {"outcome": "rejected", "field": "properties", "reason": "are longer"}
    receiver.answers = [
        (200, {}, json.dumps({"results": [good] * 3}).encode()),
        (422, {}, b'{"detail":"no"}'),
        (422, {}, b'{"detail":"no"}'),
        (200, {}, json.dumps({"results": [bad, good]}).encode()),
    ]

    done = run(log)

    assert 3 == done.exit_code
    assert "1 event accepted, 0 known already, 2 rejected." in done.output
    assert "  1 rejected: properties are longer\n" in done.output
    assert "  1 rejected: answered 422: no\n" in done.output


def test_another_content_under_a_known_line_is_told(run: Run, log: Path) -> None:
    run(log)

    assert "0 known already, 3 known with other content." in run(log, "--ip", "drop").output


def test_a_server_that_turns_us_away_or_is_not_there_has_an_exit_code(run: Run, receiver: Receiver, log: Path) -> None:
    receiver.answers = [(401, {}, b"")] * 2
    away = run(log)
    receiver.answers = [(503, {"Retry-After": "60"}, b"")] * 9
    gone = run(log, "--give-up-after", "1s")
    receiver.answers = [(0, {}, b"")]
    again = run(log)

    assert (4, True) == (away.exit_code, "Run it again" in away.output)
    assert 75 == gone.exit_code
    assert (0, True) == (again.exit_code, "3 events accepted" in again.output)
    assert "next try in" in again.output


def test_batches_hold_two_thousand_events(run: Run, receiver: Receiver) -> None:
    run("-", "--progress", given=b"".join(map(line, range(4_500))))

    # The first of them is asked about before it is sent.
    assert [2000, 2000, 2000, 500] == [len(json.loads(body)) for body in receiver.bodies]
    assert 4_500 == len(receiver.known)


def test_a_line_is_the_same_wherever_pieces_of_its_file_end() -> None:
    long = "é".encode() * 50_000

    lines = Lines()
    assert [[], [], [long]] == [lines.of(long[:99_000]), lines.of(long[99_000:]), lines.of(b"\n")]


def test_what_the_server_finds_too_far_ahead_is_rejected_and_not_too_old(run: Run, receiver: Receiver) -> None:
    ahead = {"outcome": "rejected", "field": "timestamp", "reason": "is too far ahead"}
    receiver.answers = [(200, {}, json.dumps({"results": [ahead]}).encode())] * 2

    done = run("-", given=line(1, at=NOW + timedelta(hours=2)))

    assert (3, True) == (done.exit_code, "1 rejected: timestamp is too far ahead" in done.output), done.output


def test_how_far_it_is() -> None:
    assert "25 %, 50,000 lines, 25,000/s, 6 s left" == how_far(50_000, 100, 400, 2.0, read="lines")
    assert "50,000 lines, 0/s" == how_far(50_000, 100, 0, 0.0, read="lines")


# --- following


@pytest.fixture
def tail(log: Path) -> Iterator[Tail]:
    made = Tail(log)
    yield made
    made.close()


def look(tail: Tail) -> list[tuple[int, list[bytes]]]:
    return list(tail.pieces())


def add(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_a_tail_tells_lines_once_they_have_their_end(tail: Tail, log: Path) -> None:
    log.write_bytes(b"a\nb")

    assert [(1, [b"a"])] == look(tail)
    assert [] == look(tail)
    add(log, b"c\n")
    assert [(1, [b"bc"])] == look(tail)


def test_a_tail_reads_a_rotated_file_as_long_as_somebody_writes_into_it(tail: Tail, log: Path) -> None:
    log.write_bytes(b"a\n")
    look(tail)
    old = log.rename(log.with_name("access.log.1"))
    assert [] == look(tail)
    add(old, b"b\n")
    log.write_bytes(b"c\n")

    assert [(1, [b"b"]), (2, [b"c"])] == look(tail)
    add(old, b"d\n")
    add(log, b"e\n")
    assert [(1, [b"d"]), (2, [b"e"])] == look(tail)
    assert {1, 2} == tail.numbers
    assert [] == [one for _ in range(1_200) for one in look(tail)]
    add(old, b"f\n")
    add(log, b"g\n")
    assert [(2, [b"g"])] == look(tail)  # the old one is let go of
    assert {2} == tail.numbers


def test_a_log_that_was_quiet_before_it_was_rotated_is_read_as_long_as_any_other(tail: Tail, log: Path) -> None:
    log.write_bytes(b"a\n")
    assert 1 == sum(len(look(tail)) for _ in range(1_300))
    old = log.rename(log.with_name("access.log.1"))
    log.write_bytes(b"")
    assert [] == [one for _ in range(1_000) for one in look(tail)]
    add(old, b"late\n")

    assert [(1, [b"late"])] == look(tail)


@pytest.mark.parametrize("fresh", [b"x\n", b"x\ny\nz\nv\n"])
def test_a_tail_sees_that_a_file_was_cut_even_if_it_has_grown_again(tail: Tail, log: Path, fresh: bytes) -> None:
    log.write_bytes(b"a\nb\nc\n")
    look(tail)
    shutil.copy(log, log.with_name("access.log.1"))
    with log.open("r+b") as file:
        file.truncate(0)
        file.write(fresh)

    assert [(2, fresh.splitlines())] == look(tail)


def test_a_tail_waits_for_a_file_that_is_not_there(tail: Tail, log: Path) -> None:
    log.unlink()
    assert [] == look(tail)
    log.write_bytes(b"a\n")
    assert [(1, [b"a"])] == look(tail)


@pytest.mark.e2e
def test_followed_through_rotation_all_arrives_and_a_signal_ends_it(receiver: Receiver, log: Path) -> None:
    env = os.environ | {"HEARTFLY_URL": receiver.url, "HEARTFLY_API_KEY": "hf_key"}
    words = [sys.executable, "-m", "heartfly", "usage", "import-logs", "--follow", "--json", str(log)]
    child = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)
    try:
        until(receiver, 3)
        log.rename(log.with_name("access.log.1"))
        log.write_bytes(line(7) + line(7))
        until(receiver, 5)
    finally:
        child.send_signal(signal.SIGTERM)
        said, _ = child.communicate(timeout=60)

    assert 0 == child.returncode
    assert (5, 5) == (json.loads(said)["lines"], json.loads(said)["sent"]["accepted"])


def until(receiver: Receiver, n: int) -> None:
    """Events have come; each answer that the receiver gives is looked at."""
    with receiver.heard:
        assert receiver.heard.wait_for(lambda: len(receiver.known) >= n, timeout=60)
