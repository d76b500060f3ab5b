"""Templates: literal, once, and each value stays one value."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core.alerts import Alert, RunFacts
from heartfly.core.values import replace
from heartfly.notify.placeholders import NAMES, PLACEHOLDER, Values, in_address, in_body, in_header
from tests.notify import examples
from tests.notify.examples import CHECK, delivery

JSON = "application/json"
PLAIN = "text/plain"
FORM = "application/x-www-form-urlencoded"
ANY_TEXT = st.text(st.characters(), max_size=80)


def values(alert: Alert = examples.EXIT_STATUS) -> Values:
    return Values(delivery(alert))


def named(name: str, *, body: str = "") -> Values:
    return values(replace(examples.EXIT_STATUS, check=replace(CHECK, name=name), run=RunFacts(body_tail=body)))


def test_each_placeholder_has_its_value() -> None:
    template = "\n".join(f"{name}=${name}" for name in (*NAMES, "TAG1", "TAG2") if name != "BODY")
    assert in_body(template, values(), content_type=PLAIN).splitlines() == [
        "NAME=nightly-backup",
        "STATUS=down",
        "KIND=check.down",
        "NOW=2026-03-02T02:41:17+00:00",
        "SLUG=nightly-backup",
        "TAGS=prod db",
        "EXITSTATUS=7",
        "REASON=exit_status",
        "EXPLAIN=",
        f"INCIDENT={examples.INCIDENT}",
        "TITLE=DOWN: nightly-backup",
        "SUMMARY=nightly-backup failed with exit status 7 at 02:41:17 UTC.",
        "PROJECT=acme",
        "LINK=https://heartfly.example.com/p/acme/checks/nightly-backup",
        f"ID={examples.DELIVERY_ID}",
        "MISSED=0",
        "TAG1=prod",
        "TAG2=db",
    ]


def test_without_check_and_run_the_values_are_empty_or_the_projects() -> None:
    text = in_body(
        "$NAME|$SLUG|$TAGS|$EXITSTATUS|$REASON|$INCIDENT|$BODY|$STATUS", values(examples.TEST), content_type=PLAIN
    )
    assert text == "Acme billing|||-1||||test"


def test_the_whole_event_is_a_placeholder() -> None:
    assert json.loads(in_body('{"event": $JSON}', values(), content_type=JSON))["event"]["type"] == "check.down"
    assert json.loads(in_body("$JSON", values(), content_type=PLAIN))["type"] == "check.down"


@pytest.mark.parametrize("template", ["$CODE", "$PING_URL", "$TAG9", "$UNKNOWN", "$", "$$", "100 $"])
def test_what_is_no_placeholder_stays_as_it_is(template: str) -> None:
    for content_type in (JSON, PLAIN, FORM):
        assert in_body(template, values(), content_type=content_type) == template
    assert in_header(template, values()) == template
    assert in_address(f"https://x.test/{template}", values()) == f"https://x.test/{template}"


def test_a_value_is_never_expanded_again() -> None:
    assert in_body("$NAME and $STATUS", named("$STATUS $JSON $NAME"), content_type=PLAIN) == (
        "$STATUS $JSON $NAME and down"
    )


def test_the_body_of_a_ping_goes_into_bodies_only() -> None:
    filled = named("x", body="secret?")
    assert in_body("$BODY $BODY_JSON", filled, content_type=PLAIN) == 'secret? "secret?"'
    assert in_header("$BODY $JSON", filled) == "$BODY $JSON"
    assert in_address("https://x.test/$BODY?$JSON", filled) == "https://x.test/$BODY?$JSON"


def test_a_json_variant_brings_its_own_quotes() -> None:
    assert in_body('{"n": $NAME_JSON}', named('a"b'), content_type=PLAIN) == '{"n": "a\\"b"}'


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"n": "$NAME"}', {"n": 'say "hi"\n\\'}),
        ('{"n": "<$NAME> is $STATUS"}', {"n": '<say "hi"\n\\> is down'}),
        ('{"n": $NAME_JSON}', {"n": 'say "hi"\n\\'}),
        ('{"n": "$NAME_JSON"}', {"n": 'say "hi"\n\\'}),
        ('{"n": $NAME}', {"n": 'say "hi"\n\\'}),
        ('{"say \\"$STATUS\\"": "\\\\$NAME"}', {'say "down"': '\\say "hi"\n\\'}),
        ('{"exit": $EXITSTATUS, "text": $EXITSTATUS_JSON}', {"exit": -1, "text": "-1"}),
    ],
)
def test_json_stays_json_wherever_the_placeholder_stands(template: str, expected: object) -> None:
    assert json.loads(in_body(template, named('say "hi"\n\\'), content_type=JSON)) == expected


@given(name=ANY_TEXT, body=ANY_TEXT)
def test_a_json_template_parses_whatever_the_values_hold(name: str, body: str) -> None:
    template = (
        '{"a": "$NAME", "b": "x $BODY_JSON $JSON", "c": [$NAME_JSON, $EXITSTATUS, $BODY], "d": $JSON, "$TAG1": "$TAG7"}'
    )
    filled = json.loads(in_body(template, named(name, body=body), content_type=JSON))
    assert set(filled) == {"a", "b", "c", "d", "prod"}
    assert filled["a"] == filled["d"]["check"]["name"]
    assert filled["c"][2] == filled["d"]["run"]["body_tail"]


@given(name=ANY_TEXT)
def test_a_value_in_a_form_stays_one_value(name: str) -> None:
    text = in_body("text=$NAME&json=$NAME_JSON&more=1", named(name), content_type=FORM)
    fields = parse_qs(text, keep_blank_values=True, strict_parsing=True)
    assert fields["text"] == [re.sub("[\ud800-\udfff]", "\ufffd", name)]
    assert fields["more"] == ["1"]


@given(name=ANY_TEXT)
def test_a_value_in_an_address_adds_no_part_to_it(name: str) -> None:
    address = in_address("https://x.test/a/$NAME/b?q=$NAME#", named(name))
    path, _, query = address.removeprefix("https://x.test/a/").partition("?")
    assert path.count("/") == 1
    assert set("&#? \\") & set(path + query.removesuffix("#")) == set()
    assert address.isascii()


def test_values_in_an_address_are_cut_so_that_it_can_be_sent() -> None:
    address = in_address("https://x.test/$NAME/$NAME?t=$TITLE", named("🦋" * 1_000))
    assert 1_500 < len(address) <= 2_000
    unquote(address, errors="strict")


@given(name=ANY_TEXT)
def test_a_header_is_one_line_of_ascii(name: str) -> None:
    value = in_header("is $NAME ü", named(name))
    assert value.isascii()
    assert value.isprintable()
    assert value.endswith("&#252;")


def test_there_is_no_placeholder_for_the_ping_address() -> None:
    assert not any(PLACEHOLDER.fullmatch(text) for text in ("$CODE", "$PING_UUID", "$KEY", "$URL"))
