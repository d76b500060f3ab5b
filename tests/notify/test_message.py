# ruff: noqa: E501 - sentences in snapshots are not wrapped
"""What people read. The snapshots are meant to be read aloud: would you understand it at 3 a.m.?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from inline_snapshot import snapshot

from heartfly.core.alerts import Alert, RunFacts
from heartfly.core.values import replace
from heartfly.core.words import AlertKind, Reason, RunOutcome, Status
from heartfly.notify.message import DUPLICATE_NOTE, Message, word
from heartfly.notify.sentences import Tone
from tests.notify import examples
from tests.notify.examples import CHECK, at, delivery


def told(*alerts: Alert) -> Message:
    return word(delivery(*alerts))


def test_a_late_start_that_takes_an_alarm_back_is_called_a_start() -> None:
    under_way = RunFacts(started_at=at("02:30:02"))
    assert "nightly-backup was not down after all: its start signal reached us late." == (
        told(replace(examples.RETRACTED, run=under_way)).sentence
    )


def test_each_kind_has_its_title_and_its_sentence() -> None:
    messages = {name: told(alert) for name, alert in examples.ALL.items()}
    assert {name: (m.title, m.sentence, *m.why) for name, m in messages.items()} == snapshot(
        {
            "missed": (
                "DOWN: nightly-backup",
                "nightly-backup did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC.",
                "The last success came on Sun 1 Mar at 02:31:07 UTC; nothing was heard since.",
            ),
            "exit_status": ("DOWN: nightly-backup", "nightly-backup failed with exit status 7 at 02:41:17 UTC."),
            "fail": ("DOWN: nightly-backup", "nightly-backup reported a failure at 02:41:17 UTC."),
            "hung": (
                "DOWN: nightly-backup",
                "nightly-backup started at 02:30:02 UTC and has not finished within its limit of 1 h.",
            ),
            "gate": (
                "DOWN: nightly-backup",
                "nightly-backup finished at 02:41:17 UTC, but its result breaks a rule that must hold.",
                "The rule “rows at least 10000” does not hold: rows was 0.",
            ),
            "missed_twice": (
                "DOWN: nightly-backup",
                "nightly-backup did not report, for the second time in a row: expected at 02:30 UTC, its grace of 40 min ended at 03:25 UTC.",
                "We could not hear 02:50–03:20 UTC, which excuses one silent run, not two.",
            ),
            "up": (
                "UP: nightly-backup (was down 31 min)",
                "nightly-backup is up again after 31 min: it reported success at 03:40:31 UTC.",
            ),
            "retracted": (
                "UP: nightly-backup (it was not down after all)",
                "nightly-backup was not down after all: its success signal reached us late.",
                "Please ignore the alarm before this one.",
            ),
            "recovered": (
                "UP: nightly-backup (was degraded 59 min)",
                "nightly-backup is in order again: it reported success at 03:40:31 UTC.",
            ),
            "late": (
                "LATE: nightly-backup",
                "nightly-backup is late: expected at 02:30 UTC, it goes down at 03:10 UTC if it stays silent.",
            ),
            "degraded": (
                "DEGRADED: nightly-backup",
                "nightly-backup ran at 02:41:17 UTC, but its result breaks a rule (a warning: it is not down).",
                "The rule “rows within 20 % of the last 7 runs” does not hold: rows was 9120, 18230 is usual.",
            ),
            "unverified": (
                "UNVERIFIED: 3 runs in Acme billing",
                "We could not see 02:50–03:20 UTC; 3 runs unverified.",
                "Heartfly itself could not hear, so nothing is known to be wrong. Each check is judged at its next run; a second silence in a row is an alarm.",
            ),
            "schedule_error": (
                "SCHEDULE ERROR: nightly-backup",
                "nightly-backup cannot be watched: its schedule raises an error. We try again every hour.",
                "The time zone Europe/Atlantis is not known.",
                "Until that works, silence of this check raises no alarm. Please look at its schedule.",
            ),
            "success": ("OK: nightly-backup", "nightly-backup ran, and went well at 03:40:31 UTC."),
            "reminder": (
                "STILL DOWN: nightly-backup",
                "nightly-backup is still down, for 2 h (since 03:10 UTC), and nobody has acknowledged it.",
                "The last success came on Sun 1 Mar at 02:31:07 UTC; nothing was heard since.",
            ),
            "channel_failing": (
                "CHANNEL FAILING: #ops on Slack",
                "Messages to #ops on Slack do not arrive: the receiver answered 404: no_service.",
                "You get this on another channel. Whoever reads the failing one does not hear of alarms.",
            ),
            "channel_retrying": (
                "CHANNEL FAILING: #ops on Slack",
                "Messages to #ops on Slack do not arrive: no answer within 15 s.",
                "You get this on another channel. We go on trying; until that works, whoever reads the failing one does not hear of alarms.",
            ),
            "rule_firing": (
                "ALERT: Errors of providers (provider openai) [high]",
                "Errors of providers (provider openai) has been firing since 03:05 UTC. Error rate in 1 h: 12.4 % (more than 10 %).",
                "Error rate of calls in 1 h: 12.4 %, of 1,210 calls.",
            ),
            "rule_resolved": (
                "RESOLVED: Errors of providers (provider openai) (lasted 42 min)",
                "Errors of providers (provider openai) is in order again at 03:47 UTC. Error rate in 1 h: 4.1 % (no longer more than 10 %).",
            ),
            "budget_reached": (
                "BUDGET: APIs in March [medium]",
                "APIs in March has reached 80 % at 03:05 UTC. Spent in March 2026: 401.20 USD (80 % of 500.00 USD).",
                "At this pace it is used up on Fri 20 Mar.",
            ),
            "budget_cleared": (
                "BUDGET IN ORDER: APIs in March (lasted 5 h 55 min)",
                "APIs in March is in order again at 09:00 UTC. Spent in March 2026: 401.20 USD (of 900.00 USD).",
                "The budget was raised to 900 USD.",
            ),
            "test": (
                "TEST: alerts of Acme billing reach you here",
                "This is only a test. Alerts of the project Acme billing will reach you here.",
            ),
            "digest": (
                "DAILY DIGEST: Acme billing, Sun 1 Mar: 2 of 42 checks were down",
                "2 of 42 checks were down on Sun 1 Mar, and 1 is down now.",
                "1 was degraded for a while, 1 is late now, 1 has never pinged.",
                "Heartfly itself could not hear for 2 min 5 s; 2 runs were unverified.",
                "1 channel does not deliver: whoever reads it does not hear of alarms.",
            ),
            "quiet_digest": (
                "WEEKLY DIGEST: Acme billing, Mon 23 Feb – Sun 1 Mar: all 42 checks were up",
                "All 42 checks were up in the week of Mon 23 Feb – Sun 1 Mar.",
            ),
        }
    )


def test_each_kind_of_alert_has_an_example() -> None:
    assert {alert.kind for alert in examples.ALL.values()} == set(AlertKind)


def test_the_tone_follows_the_kind() -> None:
    tones = {alert.kind: told(alert).tone for alert in examples.ALL.values()}
    assert tones == {
        AlertKind.DOWN: Tone.DOWN,
        AlertKind.UP: Tone.UP,
        AlertKind.LATE: Tone.DEGRADED,
        AlertKind.DEGRADED: Tone.DEGRADED,
        AlertKind.UNVERIFIED: Tone.NOTICE,
        AlertKind.SCHEDULE_ERROR: Tone.DEGRADED,
        AlertKind.CHANNEL_FAILING: Tone.DEGRADED,
        AlertKind.RULE_FIRING: Tone.DOWN,  # of high severity
        AlertKind.RULE_RESOLVED: Tone.UP,
        AlertKind.BUDGET_REACHED: Tone.DEGRADED,  # of medium severity
        AlertKind.BUDGET_CLEARED: Tone.UP,
        AlertKind.SUCCESS: Tone.UP,
        AlertKind.REMINDER: Tone.DOWN,
        AlertKind.TEST: Tone.NOTICE,
        AlertKind.DIGEST: Tone.UP,  # of the last example, where all is well
    }


def test_facts_of_a_failed_run_show_its_figures_one_by_one() -> None:
    assert told(examples.EXIT_STATUS).facts == snapshot(
        (
            ("Down since", "Mon 2 Mar, 02:41:17 UTC"),
            ("This run", "failed, Mon 2 Mar, 02:41:17 UTC"),
            ("Exit status", "7"),
            ("Duration", "11 min 15 s"),
            ("Run ID", "7f1f2b0e-5d0c-4c3e-9a59-0b1c0302aa01"),
            ("rows", "0"),
            ("Schedule", "30 2 * * * (Europe/Berlin)"),
            ("Grace", "40 min"),
            ("Last signal", "fail, Mon 2 Mar, 02:41:17 UTC"),
            ("Description", "Dumps the billing database to the other region. Runbook: wiki/backup."),
            ("Tags", "prod db"),
            ("Project", "Acme billing"),
        )
    )


def test_after_silence_the_run_before_it_is_one_row_so_that_its_success_misleads_nobody() -> None:
    message = told(examples.MISSED)
    assert [row for row in message.facts if row[0] in {"Last run", "This run", "Exit status"}] == [
        ("Last run", "succeeded, Sun 1 Mar, 02:31:07 UTC, took 4 min 7 s, rows=18230, bytes=731905112")
    ]
    assert message.tail_title == "Output of the last run"


def test_the_run_before_a_silence_says_that_it_failed() -> None:
    alert = replace(examples.LATE, run=replace(examples.FAILED_RUN, duration_s=None, metrics={}))
    assert ("Last run", "failed, Mon 2 Mar, 02:41:17 UTC, exit status 7") in told(alert).facts


def test_a_check_that_never_signalled_says_so() -> None:
    alert = replace(examples.HUNG, check=replace(CHECK, last_ping_at=None, last_kind=None), run=None)
    assert ("Last signal", "none yet") in told(alert).facts


def test_a_signal_of_unknown_kind_still_shows_its_time() -> None:
    alert = replace(examples.UP, check=replace(CHECK, last_kind=None))
    assert ("Last signal", "Sun 1 Mar, 02:31:07 UTC (1 d 1 h earlier)") in told(alert).facts


def test_a_run_of_which_nothing_is_known_shows_no_empty_row() -> None:
    assert "This run" not in dict(told(replace(examples.FAIL, run=RunFacts())).facts)


def test_many_metrics_are_counted_beyond_the_first_fifteen() -> None:
    metrics = {f"m{n}": str(n) for n in range(17)}
    alert = replace(examples.UP, run=RunFacts(outcome=RunOutcome.OK, metrics=metrics))
    facts = dict(told(alert).facts)
    assert facts["m14"] == "14"
    assert "m15" not in facts
    assert facts["More values"] == "2 on the page of the check"


def test_a_check_without_a_name_is_called_by_its_slug() -> None:
    alert = replace(examples.MISSED, check=replace(CHECK, name="\0 "))
    assert told(alert).title == "DOWN: nightly-backup"


def test_a_check_without_name_and_slug_is_called_by_its_id_and_linked_by_it() -> None:
    message = told(replace(examples.MISSED, check=replace(CHECK, name="", slug=""), incident=None))
    assert message.title == f"DOWN: {CHECK.uuid}"
    assert message.link == f"https://heartfly.example.com/p/acme/checks/{CHECK.uuid}"


def test_a_channel_without_a_name_is_called_by_its_kind() -> None:
    assert examples.CHANNEL_FAILING.channel is not None
    channel = replace(examples.CHANNEL_FAILING.channel, name="", error="")
    message = told(replace(examples.CHANNEL_FAILING, channel=channel))
    assert message.sentence == "Messages to slack do not arrive."


def test_links_lead_to_the_configured_address_whatever_the_slug_holds() -> None:
    alert = replace(examples.MISSED, check=replace(CHECK, slug="../../evil?x=1#y"), incident="../evil?x")
    about_check = word(delivery(replace(alert, incident=None), base_url="https://hf.example.com/sub/"))
    about_incident = word(delivery(alert, base_url="https://hf.example.com/sub/"))
    assert about_check.link == "https://hf.example.com/sub/p/acme/checks/..%2F..%2Fevil%3Fx%3D1%23y"
    assert about_incident.link == "https://hf.example.com/sub/p/acme/incidents/..%2Fevil%3Fx"


def test_what_began_or_ended_with_the_alert_is_linked_and_else_its_check() -> None:
    assert ("Open the incident", f"/incidents/{examples.MISSED.incident}") == (
        told(examples.MISSED).link_text,
        told(examples.MISSED).link.removeprefix("https://heartfly.example.com/p/acme"),
    )
    assert "Open the check" == told(replace(examples.MISSED, incident=None)).link_text


def test_a_slug_too_long_for_a_link_gives_way_to_the_id() -> None:
    alert = replace(examples.MISSED, check=replace(CHECK, slug="s" * 101), incident=None)
    assert told(alert).link.endswith(f"/checks/{CHECK.uuid}")


def test_a_check_whose_slug_is_the_address_of_a_form_is_linked_by_its_id() -> None:
    alert = replace(examples.MISSED, check=replace(CHECK, slug="new"), incident=None)
    assert told(alert).link.endswith(f"/checks/{CHECK.uuid}")


def test_a_ping_address_in_anything_that_people_or_jobs_wrote_is_hidden() -> None:
    secret = "9c0e4c35-8a51-4a52-8d6e-9a0b7f1c2d3e"
    address = f"see https://heartfly.example.com/ping/{secret} for"
    check = replace(CHECK, name=address, description=address, tags=(address,), schedule=address)
    run = RunFacts(outcome=RunOutcome.OK, metrics={address: address}, rid=address, body_tail=address)
    alert = replace(examples.UP, check=check, run=run, explain=address, project_name=address)
    message = told(alert)
    assert secret not in repr(message)
    assert "see https://heartfly.example.com/ping/… for" in message.tail


def test_a_ping_address_that_was_cut_at_the_start_of_the_output_is_dropped_with_its_line() -> None:
    tail = "g/9c0e4c35-8a51-4a52-8d6e-9a0b7f1c2d3e\n" + "line\n" * 20
    run = RunFacts(body_tail=tail, body_cut=True)
    message = told(replace(examples.FAIL, run=run))
    assert message.tail == ("line\n" * 20).strip()
    assert message.tail_cut


def test_a_body_longer_than_agreed_is_cut_to_its_end() -> None:
    message = told(replace(examples.FAIL, run=RunFacts(body_tail="x" * 1_000_000 + "end")))
    assert len(message.tail) == 10_000
    assert message.tail.endswith("xend")
    assert message.tail_cut


def test_a_repeat_after_a_crash_says_that_it_may_be_one() -> None:
    assert word(delivery(examples.MISSED, possible_duplicate=True)).note == DUPLICATE_NOTE
    assert told(examples.MISSED).note == ""


def test_a_down_and_its_up_that_waited_together_are_one_message() -> None:
    message = told(examples.EXIT_STATUS, examples.UP_AFTER_EXIT_STATUS)
    assert message.title == "UP: nightly-backup (was down 59 min)"
    assert message.sentence == "nightly-backup was down for 59 min (now up)."
    assert [(line.label, line.text) for line in message.lines] == snapshot(
        [
            ("DOWN", "failed with exit status 7 at 02:41:17 UTC"),
            ("UP", "is up again after 59 min: it reported success at 03:40:31 UTC"),
        ]
    )


def test_the_merged_message_shows_the_output_of_the_run_that_failed() -> None:
    message = told(examples.EXIT_STATUS, examples.UP_AFTER_EXIT_STATUS)
    assert "pg_dump: error" in message.tail
    assert message.tail_title == "Output of the run that failed"


def test_without_that_output_the_merged_message_shows_the_last_one() -> None:
    message = told(replace(examples.MISSED, run=None), examples.UP)
    assert (message.tail, message.tail_title) == ("dumped 18231 rows", "Output of this run")


def test_merged_messages_without_any_run_have_no_output() -> None:
    assert told(replace(examples.MISSED, run=None), replace(examples.UP, run=None)).tail == ""


def test_more_than_two_changes_tell_the_last_and_list_all() -> None:
    message = told(examples.EXIT_STATUS, examples.UP_AFTER_EXIT_STATUS, examples.HUNG)
    assert message.title == "DOWN: nightly-backup"
    assert message.sentence == snapshot(
        "3 changes since the last message. Now: nightly-backup started at 02:30:02 UTC and has not finished within its limit of 1 h."
    )
    assert [line.label for line in message.lines] == ["DOWN", "UP", "DOWN"]


def test_a_storm_names_every_check_the_worst_first() -> None:
    message = told(*examples.STORM)
    assert (message.title, message.sentence, message.why) == snapshot(
        (
            "3 DOWN, 2 UP in Acme billing",
            "5 checks changed within 02:41:17–03:40:31 UTC.",
            ("They may have one cause.",),
        )
    )
    assert [(line.label, line.name, line.text) for line in message.lines] == snapshot(
        [
            ("DOWN", "nightly-backup", "failed with exit status 7 at 02:41:17 UTC"),
            ("DOWN", "invoices", "did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC"),
            (
                "DOWN",
                "usage-aggregation",
                "did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC",
            ),
            ("UP", "vat-report", "was down for 31 min (now up)"),
            ("UP", "mail-queue", "is up again after 31 min: it reported success at 03:40:31 UTC"),
        ]
    )
    assert message.link == "https://heartfly.example.com/p/acme/checks"


def test_what_comes_late_for_several_checks_says_why_as_of_one() -> None:
    others = [examples.of_other_check(examples.MISSED, n, f"job-{n}") for n in range(6)]
    quiet = [replace(one, held="quiet hours “night” until 2026-03-02 06:00 UTC") for one in others]

    assert told(*quiet).why == (
        "They may have one cause.",
        "You hear of them only now: quiet hours “night” until 2026-03-02 06:00 UTC.",
    )
    assert told(*quiet[:2], *others[2:]).why[1:] == (
        "You hear of 2 of them only now: quiet hours “night” until 2026-03-02 06:00 UTC.",
    )
    each = [replace(one, held=f"snoozed “{n}”") for n, one in enumerate(others)]
    assert told(*each[:4]).why[1:] == (
        "You hear of them only now: snoozed “0”; snoozed “1”; snoozed “2”; and 1 other reason.",
    )
    assert told(*each).why[1:] == (
        "You hear of them only now: snoozed “0”; snoozed “1”; snoozed “2”; and 3 other reasons.",
    )


def test_an_alert_names_the_host_of_its_check() -> None:
    on_a_host = replace(examples.MISSED, check=replace(examples.CHECK, host="db-1"))

    assert ("Host", "db-1") in told(on_a_host).facts
    assert "Host" not in dict(told(examples.MISSED).facts)


def test_a_channel_that_fails_says_what_became_of_its_alerts() -> None:
    def facts(*, n_failed: int, n_waiting: int) -> dict[str, str]:
        channel = examples.CHANNEL_FAILING.channel
        assert channel is not None
        now_is = replace(channel, n_failed=n_failed, n_waiting=n_waiting)
        return dict(told(replace(examples.CHANNEL_FAILING, channel=now_is)).facts)

    retrying = facts(n_failed=0, n_waiting=3)
    assert ("retrying", "3 alerts") == (retrying["State"], retrying["Waiting"])
    assert "Given up" not in retrying
    failing = facts(n_failed=1, n_waiting=0)
    assert ("failing", "1 alert") == (failing["State"], failing["Given up"])
    assert "Waiting" not in failing


def test_the_worst_of_a_large_storm_are_those_that_are_named() -> None:
    ups = [examples.of_other_check(examples.UP, n, f"up-{n}") for n in range(120)]
    downs = [examples.of_other_check(examples.MISSED, n, f"down-{n}") for n in range(200, 205)]
    message = told(*ups, *downs)
    assert message.title == "5 DOWN, 120 UP in Acme billing"
    assert [line.name for line in message.lines[:6]] == [*(f"down-{n}" for n in range(200, 205)), "up-0"]
    assert (len(message.lines), message.n_more) == (100, 25)


def test_a_storm_of_one_kind_says_it_in_its_title() -> None:
    message = told(*(examples.of_other_check(examples.MISSED, n, f"job-{n}") for n in range(12)))
    assert message.title == "DOWN: 12 checks in Acme billing"
    assert message.sentence == "12 checks went down at 03:10 UTC."


def test_checks_that_come_back_together_need_no_guess_about_the_cause() -> None:
    message = told(*(examples.of_other_check(examples.UP, n, f"job-{n}") for n in range(2)))
    assert (message.sentence, message.why) == ("2 checks came up again at 03:40:31 UTC.", ())


def test_other_kinds_that_come_together_are_changes() -> None:
    late = [examples.of_other_check(examples.LATE, n, f"job-{n}") for n in range(2)]
    assert told(*late).sentence == "2 checks changed at 02:30 UTC."


def test_a_check_that_changed_thrice_within_a_storm_tells_its_last_change() -> None:
    three = (examples.EXIT_STATUS, examples.UP_AFTER_EXIT_STATUS, examples.HUNG)
    message = told(*three, examples.of_other_check(examples.MISSED, 1, "invoices"))
    assert message.lines[0].text == snapshot(
        "started at 02:30:02 UTC and has not finished within its limit of 1 h (3 changes)"
    )


@pytest.mark.parametrize(
    ("alert", "expected"),
    [
        (replace(examples.MISSED, check=replace(CHECK, expected_at=None)), "did not report by 03:10 UTC."),
        (replace(examples.HUNG, run=None), "has not finished within its time limit, which ended at 03:30:02 UTC."),
        (replace(examples.EXIT_STATUS, run=None), "failed at 02:41:17 UTC."),
        (replace(examples.MISSED, reason=None), "is down since 03:10 UTC."),
        (replace(examples.UP, down_since=None), "is up again: it reported success at 03:40:31 UTC."),
        (replace(examples.LATE, check=replace(CHECK, expected_at=None)), "is late since 02:30 UTC."),
    ],
)
def test_a_sentence_stands_without_the_fact_that_is_missing(alert: Alert, expected: str) -> None:
    assert told(alert).sentence == f"nightly-backup {expected}"


def test_an_end_without_its_beginning_has_a_plain_title() -> None:
    message = told(replace(examples.UP, down_since=None))
    assert message.title == "UP: nightly-backup"
    assert ("When", "Mon 2 Mar, 03:40:31 UTC") in message.facts


def test_an_unknown_blind_interval_is_a_while() -> None:
    unknown = replace(examples.UNVERIFIED, blind_from=None)
    assert told(unknown).sentence == "We could not see for a while; 3 runs unverified."
    twice = replace(examples.MISSED_TWICE, blind_to=None)
    assert told(twice).why == ("We could not hear for a while, which excuses one silent run, not two.",)


def test_alerts_about_no_check_can_be_part_of_a_storm() -> None:
    message = told(examples.MISSED, examples.CHANNEL_FAILING, examples.UNVERIFIED, examples.TEST)
    assert [(line.label, line.name, line.text) for line in message.lines] == snapshot(
        [
            ("DOWN", "nightly-backup", "did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC"),
            ("CHANNEL FAILING", "#ops on Slack", "its messages do not arrive: the receiver answered 404: no_service"),
            ("UNVERIFIED", "Acme billing", "has 3 unverified runs"),
            ("TEST", "Acme billing", "sends a test"),
        ]
    )


def test_an_alert_without_its_channel_or_check_is_still_told() -> None:
    assert told(replace(examples.CHANNEL_FAILING, channel=None)).sentence == snapshot(
        "Messages to Acme billing do not arrive."
    )
    assert told(replace(examples.MISSED, check=None)).sentence == "Acme billing did not report by 03:10 UTC."


def test_a_project_without_a_name_is_called_by_its_slug() -> None:
    assert told(replace(examples.TEST, project_name="")).project == "acme"


def test_a_down_alert_of_yesterday_names_the_day() -> None:
    alert = replace(examples.FAIL, decided_at=examples.FAIL.at + timedelta(days=1))
    assert told(alert).sentence == "nightly-backup reported a failure at Mon 2 Mar, 02:41:17 UTC."


def test_a_first_ping_that_was_wanted_is_told_without_a_grace() -> None:
    missing = replace(examples.MISSED_TWICE, from_status=Status.NEW)

    assert "second time in a row by " in told(missing).sentence
    assert "grace" not in told(missing).sentence
    assert (
        "has never reported: its first ping was wanted by "
        in told(replace(missing, reason=Reason.NO_FIRST_PING)).sentence
    )


def test_each_reason_for_down_has_words_of_its_own() -> None:
    reasons = {
        Reason.MISSED,
        Reason.MISSED_TWICE_UNVERIFIED,
        Reason.NO_FIRST_PING,
        Reason.HUNG,
        Reason.FAIL,
        Reason.EXIT_STATUS,
        Reason.GATE,
    }
    sentences = {told(replace(examples.EXIT_STATUS, reason=reason)).sentence for reason in reasons}
    assert len(sentences) == len(reasons)
    assert not any("is down since" in sentence for sentence in sentences)


def test_channels_that_fail_together_are_called_so() -> None:
    assert examples.CHANNEL_FAILING.channel is not None
    other = replace(examples.CHANNEL_FAILING.channel, uuid="u-2", name="Pager", kind="webhook")
    alerts = [examples.CHANNEL_FAILING, replace(examples.CHANNEL_FAILING, key="channel_failing:2", channel=other)]
    message = told(*alerts)

    assert "CHANNEL FAILING: 2 channels in Acme billing" == message.title
    assert message.sentence.startswith("Messages to 2 channels do not arrive: it was noticed at ")
    assert ("Open the channels", True) == (message.link_text, message.link.endswith("/channels"))
    assert ("You get this on another channel. Whoever reads those that fail does not hear of alarms.",) == message.why
    assert ["#ops on Slack", "Pager"] == [line.name for line in message.lines]
    assert message.lines[0].text.startswith("its messages do not arrive: ")
