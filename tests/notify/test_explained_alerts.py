"""An alert explains itself: by which rules, what was not heard, what holds now, what the failure said differently."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from heartfly.core.alerts import LAST_GOOD_CHARS, Alert, Unheard
from heartfly.core.values import replace
from heartfly.notify.differing import LONGEST, MOST_LINES, differing
from heartfly.notify.email_parts import DIFFERS_BYTES, html_part, text_part
from heartfly.notify.event import event
from heartfly.notify.facts import VALUE_LIMIT
from heartfly.notify.message import word
from heartfly.notify.presentable import presentable
from tests.notify import examples
from tests.notify.examples import delivery

FROM, TO = (datetime(2026, 3, 2, 2, minute, tzinfo=UTC) for minute in (31, 33))
RULES = ("down after 3 failures in a row", "run >= 1m", "rows > 0 fail")


def failed(good: str, bad: str, **check: Any) -> Alert:
    assert examples.FAIL.run is not None
    assert examples.FAIL.check is not None
    run = replace(examples.FAIL.run, last_good=good, body_tail=bad)
    return replace(examples.FAIL, run=run, check=replace(examples.FAIL.check, **check))


def test_rules_dialect_longest_run_deafness_and_verdict_are_rows_and_sentences() -> None:
    alert = failed("", "", dialect="kubernetes", max_run_s=3_600.0, rules=RULES)
    alert = replace(alert, verdict="It stays down until its next success.", unheard=(Unheard(from_at=FROM, to_at=TO),))
    message, sent = word(delivery(alert)), event(delivery(alert))
    rows = dict(message.facts)

    assert rows["Schedule"].endswith(", as kubernetes runs it")
    assert ("1 h", "; ".join(RULES)) == (rows["Longest run"], rows["Rules"])
    assert "02:31" in rows["Not heard"]
    assert "It stays down until its next success." in message.why
    assert sent.check is not None
    assert (RULES, "kubernetes", 3_600.0) == (sent.check.rules, sent.check.dialect, sent.check.max_run)
    assert ("It stays down until its next success.", [(FROM, TO)]) == (
        sent.verdict,
        [(one.from_at, one.to_at) for one in sent.unheard],
    )


def test_what_has_nothing_to_say_has_no_row() -> None:
    rows = dict(word(delivery(failed("", "", dialect="cron"))).facts)

    assert not {"Longest run", "Rules", "Not heard"} & set(rows)
    assert "runs it" not in rows["Schedule"]


def test_very_many_rules_are_cut() -> None:
    rows = dict(word(delivery(failed("", "", rules=tuple("x" * 900 for _ in range(13))))).facts)
    assert VALUE_LIMIT >= len(rows["Rules"])


def test_what_a_failure_said_differently_stands_in_the_mail_in_both_parts() -> None:
    alert = failed("begin 10:01:02\n1 row\nend\n", "begin 11:03:04\ndisk <full>\nend\n")
    message = word(delivery(alert))

    assert ("  begin 11:03:04", "- 1 row", "+ disk <full>", "  end") == message.differs
    assert "What is different from the last success (-)" in text_part(message)
    assert "\n- 1 row\n+ disk <full>\n" in text_part(message)
    assert "+ disk &lt;full&gt;" in html_part(message)


def test_nothing_is_compared_without_both_or_where_it_went_well() -> None:
    up = replace(examples.UP, run=failed("a\n", "b\n").run)
    for alert in (failed("", "b\n"), failed("a\n", ""), up, examples.MISSED, failed("a\n", "a\n")):
        assert () == differing(alert)
        assert "What is different" not in text_part(word(delivery(alert)))


def test_it_is_bounded_in_lines_and_length_and_in_a_small_mail() -> None:
    good = "".join(f"old {'x' * 70} {n}a\n" for n in range(90))
    bad = "".join(f"new {'y' * 900} {n}b\n" for n in range(9))
    lines = differing(failed(good, bad))
    message = word(delivery(failed(good, bad)))

    assert MOST_LINES + 1 == len(lines)
    assert LONGEST + 2 >= max(map(len, lines))
    assert lines[-1].endswith("lines more, on the page of the ping")
    smaller = text_part(message, share=8)
    assert sum(len(line) for line in smaller.splitlines() if line.startswith("- ")) <= DIFFERS_BYTES // 8


def test_no_ping_address_of_the_last_success_leaves_the_house() -> None:
    secret = "https://heartfly.example.com/ping/0b6f3c1e-9a43-4c0e-9f4e-0c6a7d6f1a77"
    alert = failed(f"curl {secret}\nfine\n", "curl\nbroken\n")
    for said in ("x" * LAST_GOOD_CHARS + f"\n{secret}\n", f"{secret}\n" * 200):
        assert "0c6a7d6f1a77" not in str(presentable(failed(said, "b\n"), base_url="https://heartfly.example.com"))
    assert "0c6a7d6f1a77" not in text_part(word(delivery(alert)))
