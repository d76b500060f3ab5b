# ruff: noqa: E501 - sentences in snapshots are not wrapped
"""Slack: the payload within its limits, and nobody called by the name of a check."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from heartfly.core.alerts import Alert, RunFacts, UnverifiedSlot
from heartfly.core.values import replace
from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.channels.base import ChannelContext
from heartfly.notify.channels.slack import SlackChannel, fitted, payload
from heartfly.notify.message import word
from tests.notify import examples
from tests.notify.examples import CHECK, at, delivery
from tests.notify.receivers import HttpReceiver

SLACK = SlackChannel()
ANY_TEXT = st.text(st.characters(), max_size=300)
NASTY = ["<!channel> <@U1> @here", "& < > &amp;", "```", "*b* _i_ `c`", "\u202egnp", "\0\r\n\x85", "\ud800", "🦋", "א"]


def body(*alerts: Alert) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(payload(word(delivery(*alerts)))))
    return made


def texts(part: object) -> Iterator[dict[str, Any]]:
    """Yield each text object of a payload."""
    if isinstance(part, dict):
        if part.get("type") in {"plain_text", "mrkdwn"}:
            yield part
        for value in part.values():
            yield from texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from texts(value)


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def check_limits(made: dict[str, Any]) -> None:
    blocks = made["blocks"] + made["attachments"][0]["blocks"]
    assert len(blocks) <= 50
    for block in blocks:
        if block["type"] == "header":
            assert 1 <= units(block["text"]["text"]) <= 150
        elif block["type"] == "section":
            assert 1 <= len(block.get("fields", [1])) <= 10
            for field in block.get("fields", []):
                assert 1 <= units(field["text"]) <= 2_000
            if "text" in block:
                assert 1 <= units(block["text"]["text"]) <= 3_000
        else:
            assert block["type"] == "context"
            assert len(block["elements"]) <= 10
    assert units(made["text"]) <= 4_000
    total = sum(units(text["text"]) for text in texts(blocks))
    assert total <= 13_000
    assert all(text.get("verbatim") is True for text in texts(blocks) if text["type"] == "mrkdwn")


def test_a_failure_reads_well() -> None:
    assert body(examples.EXIT_STATUS) == snapshot(
        {
            "text": """\
*DOWN: nightly-backup*
nightly-backup failed with exit status 7 at 02:41:17 UTC.
<https://heartfly.example.com/p/acme/incidents/c2a4f1de-7b0a-4f6e-8f3a-1d9b5a7e0c44|Open the incident>\
""",
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": "DOWN: nightly-backup", "emoji": False}}
            ],
            "attachments": [
                {
                    "color": "#be1e2d",
                    "fallback": "DOWN: nightly-backup",
                    "blocks": [
                        {
                            "type": "section",
                            "text": {
                                "type": "plain_text",
                                "text": "nightly-backup failed with exit status 7 at 02:41:17 UTC.",
                                "emoji": False,
                            },
                        },
                        {
                            "type": "section",
                            "fields": [
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Down since*
Mon 2 Mar, 02:41:17 UTC\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*This run*
failed, Mon 2 Mar, 02:41:17 UTC\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Exit status*
7\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Duration*
11 min 15 s\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Run ID*
7f1f2b0e-5d0c-4c3e-9a59-0b1c0302aa01\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*rows*
0\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Schedule*
30 2 * * * (Europe/Berlin)\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Grace*
40 min\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Last signal*
fail, Mon 2 Mar, 02:41:17 UTC\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Description*
Dumps the billing database to the other region. Runbook: wiki/backup.\
""",
                                    "verbatim": True,
                                },
                            ],
                        },
                        {
                            "type": "section",
                            "fields": [
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Tags*
prod db\
""",
                                    "verbatim": True,
                                },
                                {
                                    "type": "mrkdwn",
                                    "text": """\
*Project*
Acme billing\
""",
                                    "verbatim": True,
                                },
                            ],
                        },
                        {
                            "type": "section",
                            "text": {
                                "type": "mrkdwn",
                                "text": """\
*Output of this run*
```+ pg_dump billing
pg_dump: error: connection to server at "db-2" failed: FATAL: the database system is shutting down
+ curl -fsS https://heartfly.example.com/ping/…```\
""",
                                "verbatim": True,
                            },
                        },
                        {
                            "type": "context",
                            "elements": [
                                {
                                    "type": "mrkdwn",
                                    "text": "<https://heartfly.example.com/p/acme/incidents/c2a4f1de-7b0a-4f6e-8f3a-1d9b5a7e0c44|Open the incident> · Heartfly, project Acme billing",
                                    "verbatim": True,
                                }
                            ],
                        },
                    ],
                }
            ],
        }
    )


def test_a_storm_names_every_check() -> None:
    made = body(*examples.STORM)
    assert made["text"] == snapshot("""\
*3 DOWN, 2 UP in Acme billing*
5 checks changed within 02:41:17–03:40:31 UTC.
DOWN: nightly-backup failed with exit status 7 at 02:41:17 UTC
DOWN: invoices did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC
DOWN: usage-aggregation did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC
UP: vat-report was down for 31 min (now up)
UP: mail-queue is up again after 31 min: it reported success at 03:40:31 UTC
<https://heartfly.example.com/p/acme/checks|Open the checks>\
""")
    assert [text["text"] for text in texts(made["attachments"])] == snapshot(
        [
            """\
5 checks changed within 02:41:17–03:40:31 UTC.

They may have one cause.\
""",
            """\
DOWN: <https://heartfly.example.com/p/acme/checks/nightly-backup|nightly-backup> failed with exit status 7 at 02:41:17 UTC
DOWN: <https://heartfly.example.com/p/acme/checks/invoices|invoices> did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC
DOWN: <https://heartfly.example.com/p/acme/checks/usage-aggregation|usage-aggregation> did not report: expected at 02:30 UTC, its grace of 40 min ended at 03:10 UTC
UP: <https://heartfly.example.com/p/acme/checks/vat-report|vat-report> was down for 31 min (now up)
UP: <https://heartfly.example.com/p/acme/checks/mail-queue|mail-queue> is up again after 31 min: it reported success at 03:40:31 UTC\
""",
            "<https://heartfly.example.com/p/acme/checks|Open the checks> · Heartfly, project Acme billing",
        ]
    )


@pytest.mark.parametrize("name", examples.ALL)
def test_each_kind_fits(name: str) -> None:
    check_limits(body(examples.ALL[name]))


@pytest.mark.parametrize("char", ["x", "&", "<", "🦋", "`", "\n", "א", "\u202e"])
def test_a_megabyte_of_anything_fits(char: str) -> None:
    huge = char * 1_000_000
    check = replace(CHECK, name=huge, description=huge, tags=(huge,) * 50, schedule=huge)
    run = RunFacts(body_tail=huge, metrics={f"{n}{char}": huge for n in range(50)}, rid=huge, exit_status=7)
    alert = replace(examples.EXIT_STATUS, check=check, run=run, explain=huge, project_name=huge)
    check_limits(body(alert))
    check_limits(body(*(examples.of_other_check(alert, n, huge) for n in range(100))))


@given(name=st.sampled_from(NASTY) | ANY_TEXT, tail=st.sampled_from(NASTY) | ANY_TEXT)
def test_text_of_people_and_jobs_is_never_markup(name: str, tail: str) -> None:
    check = replace(CHECK, name=name, description=name, tags=(name,))
    run = RunFacts(body_tail=tail, metrics={name: tail}, rid=name)
    alert = replace(examples.FAIL, check=check, run=run, explain=name, project_name=name)
    made = body(alert, examples.of_other_check(alert, 1, name))
    made_alone = body(alert)
    for one in (made, made_alone):
        check_limits(one)
        assert "@here" not in one["text"]
        for text in (one["text"], *(text["text"] for text in texts(one))):
            rest = re.sub("<https://heartfly.example.com/p/acme/(checks|incidents)", "", text)
            assert "<" not in rest


def test_three_backticks_in_the_output_do_not_end_its_block() -> None:
    made = body(replace(examples.FAIL, run=RunFacts(body_tail="``` <!channel>")))
    tail = next(text["text"] for text in texts(made) if text["text"].startswith("*Output"))
    assert tail == "*Output of this run*\n````\u200b`\u200b` &lt;!channel&gt;```"


def test_a_digest_of_many_runs_counts_those_it_does_not_name() -> None:
    slots = tuple(
        UnverifiedSlot(check_uuid=f"u{n}", check_name=f"job-{n}", expected_at=at("02:55"), closes_at=at("03:00"))
        for n in range(1_000)
    )
    made = body(replace(examples.UNVERIFIED, slots=slots))
    check_limits(made)
    assert "+970 more" in made["text"]
    assert any("|+970 more>" in text["text"] for text in texts(made))


def test_an_address_too_long_for_a_line_is_left_out_of_it() -> None:
    alerts = [examples.of_other_check(examples.MISSED, n, f"job-{n}") for n in range(2)]
    made = payload(word(delivery(*alerts, base_url="https://" + "h" * 200 + ".example.com")))
    check_limits(made)
    assert any(text["text"].startswith("DOWN: job-0 did not report") for text in texts(made["attachments"]))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [("abc", 5, "abc"), ("abcdef", 5, "abc…"), ("a&b", 8, "a&amp;…"), ("🦋🦋", 5, "🦋…"), ("<>", 10, "&lt;&gt;")],
)
def test_text_is_cut_by_its_length_on_the_wire(text: str, limit: int, expected: str) -> None:
    assert fitted(text, limit) == expected


def test_the_end_of_the_output_is_what_is_kept() -> None:
    assert fitted("abcdef", 5, from_end=True) == "…def"


def test_a_name_that_is_cut_is_still_isolated() -> None:
    assert fitted("\u2068אבגדה\u2069 is down", 6) == "\u2068אבג…\u2069"


@pytest.mark.anyio
async def test_a_message_is_posted_as_json(receiver: HttpReceiver, context: ChannelContext) -> None:
    receipt = await SLACK.send(delivery(examples.MISSED), {"url": f"{receiver.url}/services/T/B/x"}, context)
    request = receiver.requests[0]
    assert (request.method, request.target) == ("POST", "/services/T/B/x")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == body(examples.MISSED)
    assert (receipt.code, receipt.reply) == (200, "ok")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "said"), [(404, "no_service"), (410, "channel_is_archived"), (403, "invalid_token")]
)
async def test_a_hook_that_is_gone_is_not_tried_again(
    receiver: HttpReceiver, context: ChannelContext, status: int, said: str
) -> None:
    receiver.will_answer(status, body=said.encode())
    with pytest.raises(DeliveryError, match=f"{status}: {said}") as failure:
        await SLACK.send(delivery(examples.MISSED), {"url": receiver.url}, context)
    assert failure.value.permanent


@pytest.mark.parametrize("url", ["ftp://hooks.slack.com/x", "https://u:p@hooks.slack.com/x", "slack", "", None, 7])
def test_an_address_that_is_no_http_url_is_refused(url: object) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        SLACK.parse_config({"url": url})
    assert refusal.value.field == "config.url"


def test_other_hosts_that_speak_slack_are_welcome() -> None:
    config = SLACK.parse_config({"url": " https://mattermost.example.com:8065/hooks/abc "})
    assert config == {"url": "https://mattermost.example.com:8065/hooks/abc"}


def test_an_address_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="at most 1000"):
        SLACK.parse_config({"url": "https://hooks.slack.com/" + "x" * 1_000})
