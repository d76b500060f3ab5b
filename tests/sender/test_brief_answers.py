"""Answers to an import that name only the events that were not stored, and what is no answer at all."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.sender.logs import NOW, Run, importing, line
from tests.sender.receiving import Receiver


@pytest.fixture
def run(receiver: Receiver) -> Run:
    return importing(receiver)


def test_an_answer_that_names_only_what_is_apart_tells_of_all(run: Run, receiver: Receiver) -> None:
    apart = [
        {"index": 1, "outcome": "rejected", "field": "timestamp", "reason": "is too far ahead"},
        {"index": 3, "outcome": "conflict", "field": None, "reason": None},
    ]
    brief = {"accepted": 2, "duplicate": 1, "conflict": 1, "rejected": 1, "results": apart}
    receiver.answers = [(200, {}, json.dumps(brief).encode())] * 2

    done = run("-", "--json", given=b"".join(line(n, at=NOW + timedelta(hours=1, minutes=n)) for n in range(5)))

    sent = json.loads(done.stdout)["sent"]
    assert {"accepted": 2, "duplicate": 1, "conflict": 1, "rejected": 1} == {
        name: sent[name] for name in ("accepted", "duplicate", "conflict", "rejected")
    }


@pytest.mark.parametrize(
    "broken",
    [
        {"accepted": 1, "duplicate": 0, "results": []},
        {"accepted": 2, "duplicate": 0},
        {"accepted": "x", "duplicate": 0, "results": []},
        {"accepted": 1, "duplicate": 0, "results": [{"index": 9, "outcome": "rejected"}]},
        [1],
    ],
)
def test_an_answer_that_does_not_tell_of_all_is_asked_for_again(run: Run, receiver: Receiver, broken: object) -> None:
    receiver.answers = [(200, {}, json.dumps(broken).encode())] * 2

    done = run("-", given=line(1) + line(2))

    assert (0, True) == (done.exit_code, "not in words that say what became of the events" in done.output)
    assert 2 == len(receiver.known)
