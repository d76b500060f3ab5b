"""What a digest says, from the best of days to the worst, to one reader in one look."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from heartfly.core.alerts import ChannelFacts, DigestFacts, DownInDigest, LevelInDigest
from heartfly.core.values import replace
from heartfly.core.words import Cadence
from heartfly.notify.digest_words import n_items
from heartfly.notify.message import MOST_NAMED, Message, word
from heartfly.notify.sentences import Tone
from tests.notify import examples
from tests.notify.examples import delivery

CHANNEL = ChannelFacts(uuid="aa11d0a2-1f0b-4c5e-8a53-6a1f77f3c0de", name="ops", kind="email")


def told(**changes: Any) -> Message:
    """Of a day on which all was well, but for the changes."""
    assert examples.QUIET_DIGEST.digest is not None
    digest: DigestFacts = replace(examples.QUIET_DIGEST.digest, last_day=examples.QUIET_DIGEST.digest.first_day)
    return word(delivery(replace(examples.DIGEST, digest=replace(digest, **changes))))


@pytest.mark.parametrize(
    ("changes", "sentence", "tone"),
    [
        ({}, "All 42 checks were up on Mon 23 Feb.", Tone.UP),
        ({"n_watched": 1}, "The only check was up on Mon 23 Feb.", Tone.UP),
        ({"n_checks": 0, "n_watched": 0}, "There are no checks yet.", Tone.DEGRADED),
        ({"n_checks": 2, "n_watched": 0}, "No check was watched: each is new or paused.", Tone.DEGRADED),
        (
            {"n_checks": 1, "n_watched": 0, "n_down_now": 1, "n_down_ever": 1},
            "No check was watched, but 1 is down now.",
            Tone.DOWN,
        ),
        (
            {"n_checks": 0, "n_watched": 0, "n_down_now": 1, "n_down_ever": 1},
            "There were no checks yet, but 1 is down now.",
            Tone.DOWN,
        ),
        ({"n_down": 1, "n_down_ever": 1}, "1 of 42 checks was down on Mon 23 Feb.", Tone.DOWN),
        (
            {"n_down": 2, "n_down_now": 2, "n_down_ever": 2},
            "2 of 42 checks were down on Mon 23 Feb, and 2 are down now.",
            Tone.DOWN,
        ),
        (
            {"n_down_now": 1, "n_down_ever": 1},
            "All 42 checks were up on Mon 23 Feb, but 1 is down now.",
            Tone.DOWN,
        ),
        ({"n_late": 1}, "All 42 checks were up on Mon 23 Feb.", Tone.DEGRADED),
        ({"channels": (CHANNEL,)}, "All 42 checks were up on Mon 23 Feb.", Tone.DEGRADED),
        ({"blind_s": 9}, "All 42 checks were up on Mon 23 Feb.", Tone.NOTICE),
    ],
)
def test_the_sentence_says_how_many_were_up_and_the_tone_follows(
    changes: dict[str, Any], sentence: str, tone: Tone
) -> None:
    message = told(**changes)

    assert (sentence, tone) == (message.sentence, message.tone)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ()),
        ({"n_degraded": 2, "n_never": 2}, ("2 were degraded for a while, 2 have never pinged.",)),
        ({"blind_s": 60}, ("Heartfly itself could not hear for 1 min; no run is unverified for it.",)),
        ({"n_unverified": 1}, ("1 run was unverified, as Heartfly itself could not hear.",)),
        (
            {"channels": (CHANNEL, CHANNEL)},
            ("2 channels do not deliver: whoever reads them does not hear of alarms.",),
        ),
    ],
)
def test_what_was_not_well_has_a_sentence_of_its_own(changes: dict[str, Any], why: tuple[str, ...]) -> None:
    assert why == told(**changes).why


def test_each_line_leads_to_the_page_of_what_it_names() -> None:
    lines = word(delivery(examples.DIGEST)).lines

    pages = [line.link.removeprefix(f"{examples.BASE_URL}/p/acme/").split("/")[0] for line in lines]
    assert ["checks", "checks", "channels", "checks", "checks", "checks"] == pages
    assert ["DOWN", "WAS DOWN", "FAILING", "DEGRADED", "LATE", "NEW"] == [line.label for line in lines]


def test_what_is_not_named_is_counted() -> None:
    one = DownInDigest(check_uuid="5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1b01", check_name="x", down_s=0, n_incidents=1)
    down = (one,) * 50

    message = told(n_down=700, n_down_ever=700, down=down, channels=(CHANNEL,) * 50, n_late=3)

    assert (MOST_NAMED, 653) == (len(message.lines), message.n_more)
    assert message.lines[0].text == "for less than a second"
    assert examples.DIGEST.digest is not None
    assert len(word(delivery(examples.DIGEST)).lines) == n_items(examples.DIGEST.digest)


def test_no_name_in_it_carries_a_ping_address() -> None:
    secret = f"{examples.BASE_URL}/ping/5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a99"
    one = DownInDigest(
        check_uuid="u", check_name=secret, down_s=9, n_incidents=1, since=examples.DIGEST.at, acked_by=secret
    )
    assert examples.DIGEST.digest is not None
    named = tuple(replace(it, check_name=secret) for it in examples.DIGEST.digest.late)
    channel = replace(CHANNEL, name=secret, error=secret)

    message = told(n_down=1, n_down_ever=1, down=(one,), channels=(channel,), late=named, degraded=named, never=named)

    assert 5 == len(message.lines)
    assert "0c6a7d6f1a99" not in repr(message)


def test_a_month_has_its_name_and_what_is_down_now_stands_above_what_the_runs_were() -> None:
    down = DownInDigest(check_uuid="u-1", check_name="dump", down_s=60, n_incidents=1, since=examples.at("03:00"))
    past = DownInDigest(check_uuid="u-2", check_name="copy", down_s=60, n_incidents=1)
    whole, part = (
        LevelInDigest(check_uuid=f"u-{n}", check_name=f"job-{n}", is_met=None, on_time="99 %", success="", blind_s=deaf)
        for n, deaf in ((3, 600), (4, 60))
    )
    message = told(
        cadence=Cadence.MONTHLY, first_day=date(2026, 1, 1), last_day=date(2026, 1, 31), down=(past, down), n_down=2,
        n_down_now=1, n_down_ever=2, levels=(whole, part), n_levels=2, blind_s=600,
    )  # fmt: skip

    assert "MONTHLY REPORT: Acme billing, January 2026: 2 of 42 checks were down" == message.title
    assert "2 of 42 checks were down in January 2026, and 1 is down now." == message.sentence
    assert [("DOWN", "dump"), ("RUNS", "job-3"), ("RUNS", "job-4"), ("WAS DOWN", "copy")] == [
        (line.label, line.name) for line in message.lines
    ]
    # What was so for all is said once.
    assert ["in time 99 %", "in time 99 %; not heard for 1 min"] == [line.text for line in message.lines[1:3]]
    assert "Month" == message.facts[0][0]
