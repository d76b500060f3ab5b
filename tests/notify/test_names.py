"""Whatever name is accepted of a check, a channel or a project reaches its readers on every channel."""

from __future__ import annotations

import email
import html
import json
import re
from email.message import EmailMessage
from email.policy import default as policy
from urllib.parse import unquote

from hypothesis import assume, given
from hypothesis import strategies as st

from heartfly.core import text
from heartfly.core.alerts import Alert
from heartfly.core.values import replace
from heartfly.errors import InvalidValueError
from heartfly.notify.channels.email import compose
from heartfly.notify.channels.slack import payload
from heartfly.notify.event import encoded, event
from heartfly.notify.message import word
from heartfly.notify.placeholders import Values, in_address, in_body, in_header
from tests.notify import examples
from tests.notify.conftest import mail_settings
from tests.notify.examples import delivery

SETTINGS = mail_settings(25)
TRICKY = st.sampled_from(
    "\u00a0\u200b\u200c\u200d\u200e\u200f\u3164\u2800\ufe0f\u0301\ufeffא ب🦋<>&\"'\\|*_`@#=?,:;%${}"
)
ANY_NAME = st.text(st.characters() | TRICKY, min_size=1, max_size=40)
_LEFT_OUT = re.compile(r"[\s\u200b\u2068\u2069]+")
"""White space may be folded; direction is isolated, and Slack's markup broken, by characters that show as nothing."""


def bare(shown: str) -> str:
    return _LEFT_OUT.sub("", shown)


def accepted(name: str) -> str:
    try:
        return text.name(name, field="name", most=100)
    except InvalidValueError:
        assume(False)  # noqa: FBT003 - Hypothesis' own
        raise


def named(name: str) -> list[Alert]:
    check = replace(examples.CHECK, name=name)
    assert examples.CHANNEL_FAILING.channel is not None
    channel = replace(examples.CHANNEL_FAILING.channel, name=name)
    return [
        replace(examples.EXIT_STATUS, check=check, project_name=name),
        replace(examples.CHANNEL_FAILING, channel=channel, project_name=name),
        replace(examples.TEST, project_name=name),
    ]


@given(ANY_NAME)
def test_it_stands_in_the_subject_of_a_mail_and_in_its_text(given_name: str) -> None:
    name = accepted(given_name)
    for alert in named(name):
        raw = compose(delivery(alert), {"to": "ops@example.com"}, SETTINGS)
        mail = email.message_from_bytes(raw, policy=policy)
        assert isinstance(mail, EmailMessage)
        assert {"ops@example.com"} == {mail["To"]}
        assert mail["Bcc"] is None
        assert bare(name) in bare(mail["Subject"])
        plain = mail.get_body(("plain",))
        assert isinstance(plain, EmailMessage)
        assert bare(name) in bare(plain.get_content())


@given(ANY_NAME)
def test_it_stands_in_a_slack_message(given_name: str) -> None:
    name = accepted(given_name)
    for alert in named(name):
        sent = json.loads(json.dumps(payload(word(delivery(alert)))))
        assert bare(name) in bare(html.unescape(sent["text"]))


@given(ANY_NAME)
def test_a_webhook_gets_it_as_it_is(given_name: str) -> None:
    name = accepted(given_name)
    check, channel, test = (json.loads(encoded(event(delivery(alert)))) for alert in named(name))
    assert [name] * 4 == [
        check["check"]["name"],
        check["project"]["name"],
        channel["channel"]["name"],
        test["project"]["name"],
    ]


@given(ANY_NAME)
def test_a_request_of_ones_own_can_hold_it_anywhere(given_name: str) -> None:
    name = accepted(given_name)
    values = Values(delivery(named(name)[0]))
    body = json.loads(in_body('{"name": "$NAME"}', values, content_type="application/json"))
    assert name == body["name"]
    assert name == unquote(in_address("https://example.com/?name=$NAME", values).partition("=")[2])
    if "&" not in name:
        assert name == html.unescape(in_header("$NAME", values))
