"""What differs between two outputs: what differs in every run counts for nothing, and no output makes it slow."""

from __future__ import annotations

import random
from itertools import pairwise
from time import thread_time

import pytest

from heartfly.core.outputs import MOST_CHARS, MOST_LINES, Difference, compared, normalised


def signs(found: Difference) -> str:
    return "".join(line.sign for line in found.lines)


def test_what_differs_is_told_with_lines_around_and_how_many_are_the_same() -> None:
    old = [f"line {i}" for i in range(1, 31)]
    new = [*old[:9], "other", *old[10:]]
    found = compared("\n".join(old), "\x1b[1m" + "\n".join(new))

    assert found.is_whole
    assert "…   -+   …" == signs(found)
    assert [("-", 10, 0, "line 10"), ("+", 0, 10, "other")] == [tuple(one) for one in found.lines[4:6]]
    assert ("6", "17") == (found.lines[0].text, found.lines[-1].text)
    assert [(" ", 9, 9), (" ", 11, 11)] == [one[:3] for one in (found.lines[3], found.lines[6])]
    assert () == compared("a\nb\n", "a\r\nb").lines
    assert [("-", 1, 0, "a")] == [tuple(one) for one in compared("a", "").lines]


def test_between_two_differences_lines_that_are_the_same_are_told_once() -> None:
    for n_between, wanted in ((1, "-+ -+"), (6, "-+      -+"), (7, "-+   …   -+")):
        same = [f"same {chr(97 + i)}" for i in range(n_between)]
        found = compared("\n".join(["a", *same, "b"]), "\n".join(["x", *same, "y"]))
        assert wanted == signs(found)
        assert [(n + 2, n + 2) for n in range(n_between)][-1] == (found.lines[-3].there, found.lines[-3].here)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("2026-03-01T02:00:00Z start", "2026-03-02T02:00:01.123+01:00 start"),
        ("Sun Mar  1 02:00:00 UTC 2026", "Mon Mar 12 14:10:59 UTC 2026"),
        ("Mar  1 02:00:00 host cron[123]: x", "Nov 29 12:04:49 host cron[45678]: x"),
        ("[29/Nov/2026:12:04:49 +0000] GET /", "[01/Dec/2026:01:00:00 +0100] GET /"),
        ("of 01.03.2026", "of 31.12.2026"),
        ("at 02:00", "at 11:59 pm"),
        ("epoch 1764417889", "epoch 1774417889.25"),
        ("took 3.5 s", "took 1m 12s"),
        ("done in 12ms", "done in 2 hours 3 minutes"),
        ("rev 1a2b3c4d5e", "rev deadbee1"),
        ("at 0x7ffd1", "at 0xDEADBEEF00"),
        ("request 3f0f8f9e-6a1c-4a55-8d4c-111111111111", "request 0F0F8F9E-6A1C-4A55-8D4C-2222222222FF"),
        ("id 01ARZ3NDEKTSV4RRFFQ69G5FAV", "id 01BX5ZZKBKACTAV9WEVGEMMVRZ"),
        ("pid=12, thread 7", "pid=3456, thread 81"),
        ("\x1b[32mok\x1b[0m  ", "ok"),
    ],
)
def test_what_differs_in_every_run_counts_for_nothing(then: str, now: str) -> None:
    assert () == compared(then, now).lines


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("12 rows", "0 rows"),
        ("port 5432", "port 5433"),
        ("version 1.2.3", "version 1.2.4"),
        ("host 10.0.0.1", "host 10.0.0.2"),
        ("facade", "decade"),
        ("exit status 0", "exit status 1"),
        ("5 MB", "7 MB"),
        ("  indented", "indented"),
    ],
)
def test_what_may_be_the_cause_counts(then: str, now: str) -> None:
    assert "-+" == signs(compared(then, now))


def test_numbers_are_left_out_by_choice() -> None:
    assert "-+" == signs(compared("12 rows, 3.5%", "1,204 rows, 0%"))
    assert () == compared("12 rows, 3.5%", "1,204 rows, 0%", numbers=False).lines
    assert "rows <n> of v<n>" == normalised("rows 12 of v1.2.3 ", numbers=False)


def test_lines_are_told_as_they_were_said() -> None:
    found = compared("02:00:00 ok", "03:00:00 begin\n03:00:01 no route")
    assert ["02:00:00 ok", "03:00:00 begin", "03:00:01 no route"] == [one.text for one in found.lines]


def test_of_very_long_outputs_the_beginning_is_compared_and_that_is_said() -> None:
    same = "\n".join("same" for _ in range(5 * MOST_LINES))
    assert Difference((), is_whole=True) == compared(same, same)
    assert ("…   +", True) == (signs(compared(same, same + "\nother")), compared(same, same + "\nother").is_whole)
    assert not compared(same, "\n".join("other" for _ in range(MOST_LINES + 1))).is_whole
    assert not compared("a" * MOST_CHARS, "a" * MOST_CHARS + "b").is_whole


def test_no_output_makes_it_slow() -> None:
    draw = random.Random(1)
    runs = ("a", "0a", "1:11 ", "1 s", "\x1b]", "2026-11-29 ", "Jan 1 ", "1.")
    drawn = ["\n".join(f"w{draw.randrange(n)}z" for _ in range(3 * MOST_LINES)) for n in (2, 100, 1_000) for _ in "ab"]
    texts = [*drawn, *(one * (MOST_CHARS // len(one)) for one in runs)]
    for there, here in pairwise(texts):
        began = thread_time()
        compared(there, here, numbers=False)
        assert thread_time() - began < 2
