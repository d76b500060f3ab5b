"""What was set aside goes back into the queue, to the letter; what is no event stays, and nothing is lost between."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from heartfly.cli import main
from heartfly.sender import DiskQueue, Requeued, Sender, Target, requeue
from heartfly.sender.files import append
from heartfly.sender.requeue import event_in
from heartfly.sender.wires import Result

EXACT = b'{"transaction_id": "1", "n": 0.10000000000000000001, "said": "a, \\"event\\": {"}'
WHY = Result("rejected", "n", 'was, "event": wrong')


@pytest.fixture
def letter(queue: DiskQueue) -> Path:
    """Two events, a line that is no JSON, one that is no object, and what a crash has left half written."""
    sender = Sender(queue, Target("http://localhost", ""))
    sender.set_aside([(EXACT, WHY), (b"hello", WHY), (b"[1]", WHY), (b'{"b": 2}', WHY)])
    with sender.dead_letter.open("ab") as file:
        file.write(b'{"event": {"c"')
    return sender.dead_letter


def waiting(queue: DiskQueue) -> list[bytes]:
    found = queue.oldest(most=100, most_bytes=1 << 20)
    return [] if found is None else [record.text for record in found.records]


def test_events_go_back_to_the_letter_and_the_rest_stays_as_it_was(queue: DiskQueue, letter: Path) -> None:
    before = letter.read_bytes().splitlines(keepends=True)

    assert Requeued(moved=2, kept=2) == requeue(queue)

    assert [EXACT, b'{"b": 2}'] == waiting(queue)
    assert b"".join(before[1:3]) == letter.read_bytes()
    assert Requeued(kept=2) == requeue(queue)
    assert ["dead-letter.ndjson"] == [path.name for path in queue.folder.glob("dead-letter*")]


def test_a_letter_of_events_only_is_empty_afterwards_and_none_is_no_trouble(queue: DiskQueue) -> None:
    assert Requeued() == requeue(queue)
    append(queue.folder / "dead-letter.ndjson", [b'{"event":{"a":1}}'])

    assert Requeued(moved=1) == requeue(queue)

    assert b"" == (queue.folder / "dead-letter.ndjson").read_bytes()


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"reason":"x","event":{"n":1.50,"m":3}}', b'{"n": "1.50", "m": 3}'),
        (b'{"event": {"a": 1}, "reason": "x"}', b'{"a": 1}'),
        (b'{"raw": "{}", "reason": "x"}', None),
        (b'{"reason": "x", "event": null}', None),
        (b'{"reason": "x", "event": "{}"}', None),
        (b"[" * 100_000, None),
        (b"", None),
    ],
)
def test_a_line_that_somebody_has_corrected_is_read_however_it_is_written(line: bytes, event: bytes | None) -> None:
    assert event == event_in(line)


def test_what_finds_no_room_stays(tmp_path: Path, letter: Path) -> None:
    small = DiskQueue(tmp_path / "small", max_bytes=20)
    before = letter.read_bytes().splitlines()

    assert Requeued(kept=2, no_room=2) == requeue(small, letter)

    assert [] == waiting(small)
    assert sorted(before[:4]) == sorted(letter.read_bytes().splitlines())


def test_what_is_set_aside_while_the_letter_is_replaced_is_in_the_new_one(
    queue: DiskQueue, letter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has opened the file that is replaced before it gets the lock."""
    real, n = os.open, [0]

    def opened(path: Path, *more: int) -> int:
        file = real(path, *more)
        if Path(path) == letter and not n[0]:
            n[0] = 1
            requeue(queue)
        return file

    monkeypatch.setattr("heartfly.sender.files.os.open", opened)
    append(letter, [b'{"event": {"d": 4}}'])

    assert b'{"event": {"d": 4}}' == letter.read_bytes().splitlines()[-1]
    assert Requeued(moved=1, kept=2) == requeue(queue)


def test_the_command_tells_how_many_and_ends_by_what_stays(queue: DiskQueue, letter: Path) -> None:
    words = ["usage", "requeue", "--queue", str(queue.folder)]

    first = CliRunner().invoke(main, words)
    letter.write_bytes(b"")
    second = CliRunner().invoke(main, words)

    assert (3, "2 events back in the queue.") == (first.exit_code, first.output.splitlines()[0])
    assert f"2 lines left in {letter}: no event is in it." == first.output.splitlines()[1]
    assert (0, "0 events back in the queue.\n") == (second.exit_code, second.output)
    assert json.loads(waiting(queue)[1]) == {"b": 2}
