"""`heartfly usage import-calls`: a CSV against a server that takes events, however it is written, cut or repeated."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from heartfly.cli import main
from tests.sender.receiving import Receiver

Run = Callable[..., Result]
NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - calls that were made just now
HEAD = "created,provider,model,prompt_tokens,cost,request_id\n"


def line(n: int, *, at: datetime = NOW, request_id: str | None = None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S},openai,gpt-x,{n},0.{n:03d},{f'r-{n}' if request_id is None else request_id}\n"


@pytest.fixture
def run(receiver: Receiver) -> Run:
    def run(*words: str | Path, given: bytes = b"") -> Result:
        env = {"HEARTFLY_URL": receiver.url, "HEARTFLY_API_KEY": "hf_key"}
        options = ["--map", "created=time", "--set", "currency=USD", "--zone", "UTC"]
        return CliRunner().invoke(
            main, ["usage", "import-calls", *map(str, words), *options], env=env, input=given, prog_name="heartfly"
        )

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "calls.csv"
    path.write_text(HEAD + line(1) + line(2))
    return path


def summary(result: Result) -> Any:
    return json.loads(result.stdout)


def sent(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one) for one in receiver.known.values()]


def test_each_row_is_a_call_and_imported_again_none_is_new(run: Run, receiver: Receiver, table: Path) -> None:
    assert "2 rows: 2 calls, 0 that cannot be read.\n2 events accepted, 0 known already.\n" == run(table).output
    assert "2 rows: 2 calls, 0 that cannot be read.\n0 events accepted, 2 known already.\n" == run(table).output

    assert {"openai:r-1", "openai:r-2"} == {one["transaction_id"] for one in sent(receiver)}
    assert {"api.call"} == {one["event_type"] for one in sent(receiver)}
    assert ["0.001", "0.002"] == sorted(one["properties"]["cost"] for one in sent(receiver))


def test_equal_rows_without_an_id_are_each_a_call_in_whatever_order(run: Run, receiver: Receiver, table: Path) -> None:
    old = NOW - timedelta(days=2)
    rows = [line(1, request_id=""), line(2, at=old, request_id=""), line(1, request_id="")]
    table.write_text(HEAD + "".join(rows))
    assert 3 == summary(run("--json", table))["sent"]["accepted"]

    table.write_text(HEAD + "".join(reversed(rows)))

    assert 3 == summary(run("--json", table))["sent"]["duplicate"]
    assert 3 == len(receiver.known)
    assert 3 == summary(run("--json", "--source", "b", table))["sent"]["accepted"]  # of somebody else


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_packed_through_a_pipe_and_with_other_signs_it_is_the_same(
    run: Run, receiver: Receiver, table: Path, delimiter: str
) -> None:
    run(table)
    written = table.read_text().replace(",", delimiter).replace("\n", "\r\n").encode("utf-8-sig")

    piped = run("--json", "-", given=written.rstrip())  # its last line has no end
    table.write_bytes(gzip.compress(written))
    packed = run("--json", table)

    assert [2, 2] == [summary(one)["sent"]["duplicate"] for one in (piped, packed)]


def test_bad_rows_are_counted_and_shown_and_stop_nothing(run: Run, receiver: Receiver, table: Path) -> None:
    table.write_bytes(
        (HEAD + line(1) + "yesterday,openai,gpt-x,1,1,r\n" + "a,b\n\n" + '"a\nb",c\n').encode()
        + b"\xff\xfe,x,\n"
        + line(2).encode()
    )

    done = run("--json", table)

    told = summary(done)
    assert (0, 6, 2, 4, 2) == (
        done.exit_code, told["rows"], told["calls"], told["unread"], told["sent"]["accepted"],
    ), done.output  # fmt: skip
    assert {"has 2 columns, and the first line 6": 2, "has 3 columns, and the first line 6": 1} == {
        why: n for why, n in told["unread_reasons"].items() if "columns" in why
    }
    assert f"{table}:3" == told["samples"][0]["place"]
    assert "4 that cannot be read" in run(table).output


def test_a_dry_run_says_what_would_become_of_it_and_stores_nothing(run: Run, receiver: Receiver, table: Path) -> None:
    table.write_text(HEAD + line(1))
    run(table)
    table.write_text(HEAD + line(1) + line(2))
    before = dict(receiver.known)

    said = run("--dry-run", table).output

    assert "2 events would be sent" in said
    assert "openai:r-1" in said
    assert "1 event would be accepted, 1 known already." in said
    assert before == receiver.known
    facts = summary(run("--dry-run", "--json", table))
    assert ({"openai": 2}, {"anonymous": 2}, None) == (facts["providers"], facts["customers"], facts["sent"])
    assert (1, 1) == (facts["foretold"]["accepted"], facts["foretold"]["duplicate"])


def test_a_dry_run_tells_the_refusals_of_the_real_one(run: Run, receiver: Receiver, table: Path) -> None:
    old = {"outcome": "rejected", "field": "timestamp", "reason": "is from before events are kept"}
    bad = {"outcome": "rejected", "field": "x", "reason": "is bad"}
    one, other = ([json.dumps({"results": found}).encode() for found in ([old, bad], [bad])] for _ in range(2))
    receiver.answers = [(200, {}, body) for body in (*one, *other)]

    foretold, done = run("--dry-run", table), run(table)

    assert (3, 3) == (foretold.exit_code, done.exit_code)
    for said in (foretold.output, done.output):
        assert "passed over: 1 call from before events are kept." in said
        assert "1 rejected: x is bad" in said
    assert "0 events would be accepted, 0 known already, 1 would be rejected." in foretold.output


def test_without_a_key_a_dry_run_asks_nobody_and_says_so(
    receiver: Receiver, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    words = ["--map", "created=time", "--set", "currency=USD", "--zone", "UTC", "--dry-run"]

    done = CliRunner().invoke(main, ["usage", "import-calls", str(table), *words], env={"HEARTFLY_URL": receiver.url})

    assert 0 == done.exit_code, done.output
    assert "2 events would be sent, from " in done.stdout
    assert "No server was asked, for want of a key" in done.stderr
    assert [] == receiver.headers


def test_what_is_older_is_passed_over_when_that_is_said(run: Run, table: Path) -> None:
    table.write_text(HEAD + line(1, at=NOW - timedelta(days=9)) + line(2) + line(3, at=NOW + timedelta(days=3)))

    told = summary(run("--json", "--since", "2d", table))

    assert (1, 1, 1) == (told["before_since"], told["ahead"], told["sent"]["accepted"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--map", "modle=model"], "--map: modle is none of the file's columns"),
        (["--map", "model"], "--map model is not COLUMN=PROPERTY"),
        (["--set", "colour=red"], "--set: colour is none of"),
        (["--set", "customer=a", "--set", "customer=b"], "--set customer is said twice"),
        (["--zone", "Mars"], "--zone Mars is no time zone"),
        (["--delimiter", "::"], "--delimiter must be one character"),
        (["--source", "a\nb"], "--source must be"),
        (["--since", "never"], "is not a duration"),
    ],
)
def test_what_cannot_be_is_refused_by_its_option(receiver: Receiver, table: Path, words: list[str], why: str) -> None:
    env = {"HEARTFLY_URL": receiver.url, "HEARTFLY_API_KEY": "hf_key"}

    done = CliRunner().invoke(main, ["usage", "import-calls", str(table), *words], env=env)

    assert 2 == done.exit_code
    assert why in " ".join(done.output.replace("│", " ").split())
    assert [] == receiver.headers


def test_files_that_cannot_be_read_are_named_and_the_others_are_imported(
    run: Run, receiver: Receiver, table: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress((HEAD + line(7)).encode())[:-9])
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")

    done = run("--json", tmp_path / "away.csv", cut, empty, table)

    told = summary(done)
    assert (1, 2) == (done.exit_code, len(told["failed"])), told
    assert f"{tmp_path / 'away.csv'}: No such file or directory" == told["failed"][0]
    assert 2 <= told["sent"]["accepted"]


def test_a_server_that_turns_us_away_and_one_that_rejects(run: Run, receiver: Receiver, table: Path) -> None:
    receiver.answers = [(401, {}, b"{}")] * 2
    assert 4 == run(table).exit_code

    rejected = json.dumps({"results": [{"outcome": "rejected", "field": "x", "reason": "is bad"}] * 2}).encode()
    receiver.answers = [(200, {}, rejected)] * 2
    done = run(table)
    assert (3, True) == (done.exit_code, "2 rejected: x is bad" in done.output)
