from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from heartfly.sender import DiskQueue, QueueBusyError, QueueFullError
from heartfly.sender.errors import NotAnEventError
from heartfly.sender.queue import Waiting
from tests.sender.receiving import event


def waiting(queue: DiskQueue, most: int = 1000) -> Waiting:
    found = queue.oldest(most=most, most_bytes=1_000_000)
    assert found is not None
    return found


def texts(queue: DiskQueue) -> list[bytes]:
    found: list[bytes] = []
    while some := queue.oldest(most=3, most_bytes=1_000_000):
        found += [record.text for record in some.records]
        queue.forget(some.end)
    return found


def put_many(folder: Path, who: int) -> None:
    queue = DiskQueue(folder, segment_bytes=300)
    for n in range(20):
        queue.put([event(who * 1000 + n)])


def test_what_was_put_comes_out_in_order_to_the_letter(queue: DiskQueue) -> None:
    queue.put([b'{"b": 1.10,  "a": 10000000000000000000000.000000001}', '{"c":\n "x"}'])
    queue.put([{"n": Decimal("1E+3"), "z": "ü"}])

    found = texts(queue)

    assert [
        b'{"b": 1.10,  "a": 10000000000000000000000.000000001}',
        b'{"c":  "x"}',
        '{"n": "1000", "z": "ü"}'.encode(),
    ] == found
    assert queue.is_empty()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"[1]", "no JSON object"),
        ("{", "is no JSON"),
        (b"\xff", "is no JSON"),
        ({"x": float("nan")}, "nothing that JSON can hold"),
        ({"x": object()}, "nothing that JSON can hold"),
        ({"x": Decimal("NaN")}, "nothing that JSON can hold"),
    ],
)
def test_what_can_be_no_event_is_refused_and_nothing_of_its_call_is_kept(
    queue: DiskQueue, bad: object, why: str
) -> None:
    with pytest.raises(NotAnEventError, match=why):
        queue.put([event(1), bad])  # type: ignore[list-item]

    assert queue.is_empty()


def test_what_was_not_forgotten_is_there_for_the_next_process(queue: DiskQueue) -> None:
    queue.put(event(n) for n in range(5))
    queue.forget(waiting(queue, most=2).end)

    again = DiskQueue(queue.folder)

    assert ["tx-2", "tx-3", "tx-4"] == [r.text.decode().split('"')[3] for r in waiting(again).records]


def test_a_torn_tail_is_cut_off_and_what_follows_is_whole(queue: DiskQueue) -> None:
    queue.put([event(1)])
    (segment,) = queue.folder.glob("*.events")
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole[:-7])

    assert 1 == len(waiting(queue).records)
    queue.put([event(2)])

    found = waiting(queue).records
    assert [b'"tx-1"', b'"tx-2"'] == [record.text[19:25] for record in found]
    assert [False, False] == [record.damaged for record in found]


def test_a_record_that_has_changed_on_the_disk_is_told_from_its_neighbours(queue: DiskQueue) -> None:
    queue.put([event(1), event(2), event(3)])
    (segment,) = queue.folder.glob("*.events")
    segment.write_bytes(segment.read_bytes().replace(b"tx-2", b"tx-9"))

    assert [False, True, False] == [record.damaged for record in waiting(queue).records]


def test_a_lost_cursor_means_that_all_is_sent_again(queue: DiskQueue) -> None:
    queue.put([event(1), event(2)])
    queue.forget(waiting(queue, most=1).end)
    (queue.folder / "cursor").write_bytes(b"\0\0\0\0")

    assert 2 == len(waiting(queue).records)


def test_segments_that_are_sent_leave_the_disk_and_their_numbers_are_not_used_again(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, segment_bytes=100)
    for n in range(6):
        queue.put([event(n)])
    assert 6 == len(list(tmp_path.glob("*.events")))

    assert 6 == len(texts(queue))
    assert [] == list(tmp_path.glob("*.events"))
    queue.put([event(7)])

    assert ["0000000007.events"] == [path.name for path in tmp_path.glob("*.events")]
    assert 1 == len(waiting(queue).records)


def test_a_full_queue_takes_nothing_of_a_call_and_says_how_full_it_is(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, max_bytes=250)
    queue.put([event(1)])
    held = queue.bytes_waiting()

    with pytest.raises(QueueFullError, match=rf"holds {held} bytes .* over its bound of 250"):
        queue.put([event(2), event(3)])

    assert held == queue.bytes_waiting()
    queue.forget(waiting(queue).end)
    assert 1 == queue.put([event(2)])


def test_one_at_a_time_sends(queue: DiskQueue) -> None:
    with queue.sending(), pytest.raises(QueueBusyError), DiskQueue(queue.folder).sending(wait=False):
        pass


def test_many_processes_put_side_by_side_and_none_is_lost(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("spawn")
    putting = [fork.Process(target=put_many, args=(tmp_path, who)) for who in range(2)]
    for process in putting:
        process.start()
    put_many(tmp_path, 9)
    for process in putting:
        process.join(60)

    found = texts(DiskQueue(tmp_path))

    assert 60 == len(set(found)) == len(found)


def test_killed_at_any_moment_what_was_promised_is_there(tmp_path: Path) -> None:
    script = (
        "from heartfly.sender import DiskQueue\n"
        f"queue = DiskQueue({str(tmp_path)!r}, segment_bytes=2000)\n"
        "n = 0\n"
        "while True:\n"
        "    queue.put([{'n': n}, {'n': n + 1}])\n"
        "    n += 2\n"
        "    print(n, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    promised = 0
    while promised < 60:
        promised = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait(60)
    child.stdout.close()
    promised = int(rest[-1]) if rest else promised

    DiskQueue(tmp_path).put([{"n": "after"}])
    found = texts(DiskQueue(tmp_path))

    assert [b'{"n": %d}' % n for n in range(promised)] == found[:promised]
    assert b'{"n": "after"}' == found[-1]
    assert promised + 3 >= len(found)  # at most one call more, whose promise was not heard


def test_what_is_not_utf_8_would_spoil_its_neighbours_and_is_refused(queue: DiskQueue) -> None:
    for bad in ('{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-32-le"), b'{"a": "\xed\xa0\x80"}'):
        with pytest.raises(NotAnEventError, match="is no JSON"):
            queue.put([bad])
    queue.put([b'\xef\xbb\xbf{"a": 1}'])  # the mark that some put before the first line

    assert [b'{"a": 1}'] == texts(queue)


@pytest.mark.parametrize("name", ["append.lock", "0000000001.events", "cursor.new"])
def test_a_link_in_the_queue_leads_to_no_other_file(queue: DiskQueue, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"somebody's")
    (queue.folder / name).symlink_to(other)

    def put_and_forget() -> None:
        queue.put([event(1)])
        queue.forget(waiting(queue).end)

    with pytest.raises(OSError, match="symbolic link"):
        put_and_forget()

    assert b"somebody's" == other.read_bytes()
