"""The mail itself: its headers, its text and its HTML, whatever an alert holds."""

from __future__ import annotations

import dataclasses
import email
import html
import re
from email.message import EmailMessage
from email.policy import default as policy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from heartfly.core.alerts import Alert, RunFacts, UnverifiedSlot
from heartfly.core.values import replace
from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.channels.email import EmailChannel, compose, parse_address
from heartfly.notify.message import Delivery
from tests.notify import examples
from tests.notify.conftest import mail_settings
from tests.notify.examples import CHECK, at, delivery

SETTINGS = mail_settings(25)
ANY_TEXT = st.text(st.characters(), max_size=300)


def received(made: Delivery, **config: str) -> EmailMessage:
    """Return the mail as its reader's program parses it."""
    raw = compose(made, {"to": "ops@example.com"} | config, SETTINGS)
    assert len(raw) <= 100_000
    assert all(len(line) <= 998 and line.isascii() for line in raw.split(b"\r\n"))
    parsed = email.message_from_bytes(raw, policy=policy)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert isinstance(body, EmailMessage)
    content = body.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def test_the_headers_of_a_mail() -> None:
    mail = received(delivery(examples.EXIT_STATUS), unsubscribe_token="tok/en")
    headers = {name: value for name, value in mail.items() if name != "Content-Type"}
    assert headers == snapshot(
        {
            "Subject": "DOWN: nightly-backup",
            "From": "Heartfly <heartfly@example.com>",
            "To": "ops@example.com",
            "Date": "Mon, 02 Mar 2026 02:41:17 +0000",
            "Message-ID": "<0b6f3c52-6a0f-4d53-9d8e-2f6f0f6a9b11@heartfly.example.com>",
            "In-Reply-To": "<down.5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01.1772419277@heartfly.example.com>",
            "References": "<down.5b1d1f39-4e6e-4b8e-9f0d-0c6a7d6f1a01.1772419277@heartfly.example.com>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "X-Heartfly-Kind": "check.down",
            "List-Unsubscribe": "<https://heartfly.example.com/channels/unsubscribe?token=tok%2Fen>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "MIME-Version": "1.0",
        }
    )


def test_the_text_of_a_mail() -> None:
    assert part(received(delivery(examples.EXIT_STATUS)), "plain") == snapshot("""\
DOWN: nightly-backup

nightly-backup failed with exit status 7 at 02:41:17 UTC.

Open the incident: https://heartfly.example.com/p/acme/incidents/c2a4f1de-7b0a-4f6e-8f3a-1d9b5a7e0c44

Down since:  Mon 2 Mar, 02:41:17 UTC
This run:    failed, Mon 2 Mar, 02:41:17 UTC
Exit status: 7
Duration:    11 min 15 s
Run ID:      7f1f2b0e-5d0c-4c3e-9a59-0b1c0302aa01
rows:        0
Schedule:    30 2 * * * (Europe/Berlin)
Grace:       40 min
Last signal: fail, Mon 2 Mar, 02:41:17 UTC
Description: Dumps the billing database to the other region. Runbook: wiki/backup.
Tags:        prod db
Project:     Acme billing

Output of this run:

+ pg_dump billing
pg_dump: error: connection to server at "db-2" failed: FATAL: the database system is shutting down
+ curl -fsS https://heartfly.example.com/ping/…

-- \n\
Heartfly, project Acme billing. All times are UTC.
""")


def test_the_text_of_a_storm() -> None:
    assert part(received(delivery(*examples.STORM)), "plain") == snapshot("""\
3 DOWN, 2 UP in Acme billing

5 checks changed within 02:41:17–03:40:31 UTC.

They may have one cause.

* DOWN: nightly-backup failed with exit status 7 at 02:41:17 UTC
* DOWN: invoices did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC
* DOWN: usage-aggregation did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC
* UP: vat-report was down for 31 min (now up)
* UP: mail-queue is up again after 31 min: it reported success at 03:40:31 UTC

Open the checks: https://heartfly.example.com/p/acme/checks

-- \n\
Heartfly, project Acme billing. All times are UTC.
""")


def test_the_text_of_a_merged_repeat() -> None:
    made = delivery(examples.EXIT_STATUS, examples.UP_AFTER_EXIT_STATUS, possible_duplicate=True)
    assert part(received(made), "plain") == snapshot("""\
UP: nightly-backup (was down 59 min)

nightly-backup was down for 59 min (now up).

You may have had this message already: the first try to send it was cut off.

* DOWN: nightly-backup failed with exit status 7 at 02:41:17 UTC
* UP: nightly-backup is up again after 59 min: it reported success at 03:40:31 UTC

Open the incident: https://heartfly.example.com/p/acme/incidents/c2a4f1de-7b0a-4f6e-8f3a-1d9b5a7e0c44

Was down:    Mon 2 Mar, 02:41:17–03:40:31 UTC (59 min 14 s)
This run:    succeeded, Mon 2 Mar, 03:40:31 UTC
Exit status: 0
Duration:    4 min 11 s
rows:        18231
Schedule:    30 2 * * * (Europe/Berlin)
Grace:       40 min
Last signal: success, Mon 2 Mar, 03:40:31 UTC
Description: Dumps the billing database to the other region. Runbook: wiki/backup.
Tags:        prod db
Project:     Acme billing

Output of the run that failed:

+ pg_dump billing
pg_dump: error: connection to server at "db-2" failed: FATAL: the database system is shutting down
+ curl -fsS https://heartfly.example.com/ping/…

-- \n\
Heartfly, project Acme billing. All times are UTC.
""")


def test_each_kind_has_its_subject() -> None:
    subjects = [str(received(delivery(alert))["Subject"]) for alert in examples.ALL.values()]
    assert subjects == snapshot(
        [
            "DOWN: nightly-backup",
            "DOWN: nightly-backup",
            "DOWN: nightly-backup",
            "DOWN: nightly-backup",
            "DOWN: nightly-backup",
            "DOWN: nightly-backup",
            "UP: nightly-backup (was down 31 min)",
            "UP: nightly-backup (it was not down after all)",
            "UP: nightly-backup (was degraded 59 min)",
            "LATE: nightly-backup",
            "DEGRADED: nightly-backup",
            "UNVERIFIED: 3 runs in Acme billing",
            "SCHEDULE ERROR: nightly-backup",
            "OK: nightly-backup",
            "STILL DOWN: nightly-backup",
            "CHANNEL FAILING: #ops on Slack",
            "CHANNEL FAILING: #ops on Slack",
            "ALERT: Errors of providers (provider openai) [high]",
            "RESOLVED: Errors of providers (provider openai) (lasted 42 min)",
            "BUDGET: APIs in March [medium]",
            "BUDGET IN ORDER: APIs in March (lasted 5 h 55 min)",
            "TEST: alerts of Acme billing reach you here",
            "DAILY DIGEST: Acme billing, Sun 1 Mar: 2 of 42 checks were down",
            "WEEKLY DIGEST: Acme billing, Mon 23 Feb – Sun 1 Mar: all 42 checks were up",
        ]
    )


@pytest.mark.parametrize("name", examples.ALL)
def test_text_and_html_say_the_same(name: str) -> None:
    mail = received(delivery(examples.ALL[name]))
    page = html.unescape(re.sub(r"<[^>]+>", " ", part(mail, "html")))
    words = part(mail, "plain").replace(examples.BASE_URL, "").split("Open the ")[0]
    for sentence in words.split("\n\n")[1:]:
        assert " ".join(re.sub(r"^\* [A-Z ]+: ", "", sentence).split()[:4]) in " ".join(page.split())


def test_links_in_the_html_lead_nowhere_but_to_our_pages() -> None:
    for alert in examples.ALL.values():
        page = part(received(delivery(alert)), "html")
        links = re.findall(r'(?:href|src)="([^"]*)"', page)
        assert links
        assert all(link.startswith("https://heartfly.example.com/p/acme/") for link in links)


def test_a_ping_address_is_in_no_part() -> None:
    mail = received(delivery(examples.EXIT_STATUS))
    assert "9c0e4c35" not in part(mail, "plain") + part(mail, "html")


def test_the_message_id_is_the_same_for_each_attempt() -> None:
    first = received(delivery(examples.MISSED, attempt=1))
    again = received(delivery(examples.MISSED, attempt=4, possible_duplicate=True))
    assert first["Message-ID"] == again["Message-ID"] == f"<{examples.DELIVERY_ID}@heartfly.example.com>"


def test_an_up_is_in_the_thread_of_its_down() -> None:
    down = received(delivery(examples.EXIT_STATUS))
    up = received(delivery(examples.UP_AFTER_EXIT_STATUS))
    assert down["References"] == up["References"] == up["In-Reply-To"]
    assert received(delivery(examples.UP))["References"] != up["References"]


def test_what_is_no_outage_starts_no_thread() -> None:
    assert received(delivery(examples.TEST))["References"] is None
    assert received(delivery(examples.LATE))["References"] is None


def test_the_unsubscribe_header_is_ascii_wherever_we_live() -> None:
    mail = received(delivery(examples.MISSED, base_url="https://a.example/ü/"), unsubscribe_token="t")
    assert mail["List-Unsubscribe"] == "<https://a.example/%C3%BC/channels/unsubscribe?token=t>"


def test_a_sender_that_is_no_address_is_told_by_the_name_of_its_setting() -> None:
    settings = dataclasses.replace(SETTINGS, from_address="heartfly@")
    with pytest.raises(DeliveryError, match=r"mail\.from_address") as failure:
        compose(delivery(examples.MISSED), {"to": "ops@example.com"}, settings)
    assert failure.value.permanent


def test_without_a_token_there_is_no_unsubscribe_header() -> None:
    mail = received(delivery(examples.MISSED))
    assert mail["List-Unsubscribe"] is None
    assert mail["List-Unsubscribe-Post"] is None


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://127.0.0.1:8000", "@127.0.0.1>"),
        ("http://[::1]:8000", "@[::1]>"),
        ("https://a.example.com/sub", "@a.example.com>"),
        ("https://bücher.example", "@xn--bcher-kva.example>"),
        ("https://a..example", "@localhost>"),
    ],
)
def test_the_message_id_names_our_host(base_url: str, expected: str) -> None:
    assert str(received(delivery(examples.MISSED, base_url=base_url))["Message-ID"]).endswith(expected)


@pytest.mark.parametrize(
    "name",
    [
        "x\r\nBcc: evil@example.com",
        "x\x85Bcc: evil@example.com",
        "x\vBcc: evil@example.com",
        "\u202egpj.exe",
        "\ud800",
        "🦋" * 200,
        "גיבוי לילי",
        "=?utf-8?q?x?=",
        "a" * 1_000_000,
        '<script>alert("x")</script>',
        "{{ 7 * 7 }} {% if %}",
        "\0",
    ],
)
def test_a_name_is_no_header_and_no_markup(name: str) -> None:
    alert = replace(examples.MISSED, check=replace(CHECK, name=name), project_name=name)
    mail = received(delivery(alert))
    assert set(mail.keys()) == set(received(delivery(examples.MISSED)).keys())
    page = part(mail, "html")
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page or "7 * 7" not in name


@given(name=ANY_TEXT, tail=ANY_TEXT)
def test_every_name_can_be_mailed(name: str, tail: str) -> None:
    check = replace(CHECK, name=name, description=name, tags=(name,))
    run = RunFacts(body_tail=tail, metrics={name: tail}, rid=name)
    alert = replace(examples.FAIL, check=check, run=run, explain=name, project_name=name)
    mail = received(delivery(alert))
    subject = str(mail["Subject"])
    assert subject.startswith("DOWN: ")
    assert len(subject.splitlines()) == 1


@pytest.mark.parametrize("char", ["x", "&", "🦋", "\n", "א", "'"])
def test_a_megabyte_of_anything_makes_a_mail_of_at_most_100_kb(char: str) -> None:
    huge = char * 1_000_000
    check = replace(CHECK, name=huge, description=huge, tags=(huge,) * 50, schedule=huge)
    run = RunFacts(body_tail=huge, metrics={f"{n}{char}": huge for n in range(50)}, rid=huge, exit_status=7)
    alert = replace(examples.EXIT_STATUS, check=check, run=run, explain=huge, project_name=huge)
    received(delivery(alert))
    received(delivery(*(examples.of_other_check(alert, n, huge) for n in range(200))))


def test_an_ordinary_storm_of_a_hundred_checks_names_them_all() -> None:
    storm = [examples.of_other_check(examples.MISSED, n, f"nightly-job-of-customer-{n}") for n in range(100)]
    mail = received(delivery(*storm))
    for kind in ("plain", "html"):
        assert all(f"nightly-job-of-customer-{n}" in part(mail, kind) for n in range(100))
        assert "more" not in part(mail, kind)


def test_a_longer_list_counts_those_that_it_does_not_name() -> None:
    slots = tuple(
        UnverifiedSlot(check_uuid=f"u{n}", check_name=f"job-{n}", expected_at=at("02:55"), closes_at=at("03:00"))
        for n in range(1_000)
    )
    mail = received(delivery(replace(examples.UNVERIFIED, slots=slots)))
    assert "+900 more" in part(mail, "plain")
    assert "+900 more" in part(mail, "html")


def test_a_storm_of_thousands_is_one_mail_that_counts_them() -> None:
    storm = [examples.of_other_check(examples.MISSED, n, f"job-{n}") for n in range(3_000)]
    mail = received(delivery(*storm))
    assert mail["Subject"] == "DOWN: 3000 checks in Acme billing"
    assert "+2900 more" in part(mail, "plain")
    assert "+2900 more" in part(mail, "html")


def test_output_that_does_not_fit_is_cut_at_its_beginning_and_says_so() -> None:
    alert = replace(examples.FAIL, run=RunFacts(body_tail="&" * 9_990 + "the end"))
    page = part(received(delivery(alert)), "html")
    assert "the end</pre>" in page
    assert "Output of this run: the end, the rest is on the page of the check" in page


def test_output_of_ten_thousand_ordinary_characters_is_whole() -> None:
    alert = replace(examples.FAIL, run=RunFacts(body_tail="x" * 10_000))
    assert "x" * 10_000 in part(received(delivery(alert)), "html")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ops@example.com", "ops@example.com"),
        (" o.p+tag@Sub.Example.COM ", "o.p+tag@sub.example.com"),
        ("root@localhost", "root@localhost"),
        ("ops@bücher.example", "ops@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_taken(text: str, expected: str) -> None:
    assert parse_address(text, field="config.to") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ops",
        "@example.com",
        "ops@",
        "a@b@example.com",
        "a b@example.com",
        ".a@example.com",
        "a..b@example.com",
        '"a b"@example.com',
        "ops@exa mple.com",
        "ops@-x.example",
        "ops@x" + "\N{SOFT HYPHEN}" * 250 + ".example",  # longer than any name before what is not heard is left out
        "ops@x..example",
        "ops@[127.0.0.1]",
        "Ops <ops@example.com>",
        "a@example.com, b@example.com",
        "a@example.com\nBcc: b@example.com",
        "jürgen@example.com",
        "a" * 65 + "@example.com",
        "a@" + ".".join(["x" * 60] * 5),
    ],
)
def test_what_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        EmailChannel().parse_config({"to": text})
    assert refusal.value.field == "config.to"


def test_a_channel_without_a_token_has_no_secret() -> None:
    assert EmailChannel().parse_config({"to": "a@b.example", "unsubscribe_token": None}) == {"to": "a@b.example"}
    assert EmailChannel().secrets({"to": "a@b.example"}) == set()


def test_alerts_of_the_same_kind_differ_by_their_check_in_the_subject() -> None:
    alerts: list[Alert] = [examples.of_other_check(examples.MISSED, n, f"job-{n}") for n in range(3)]
    assert [str(received(delivery(alert))["Subject"]) for alert in alerts] == [f"DOWN: job-{n}" for n in range(3)]
