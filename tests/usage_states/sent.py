"""What programs send: events in few words, so that ids, hours and contents meet often, and how they are written down.

Which of them are none, and by which field, is said beside each fault.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from tests.usage_states.told import AHEAD, HOUR, KEEP, Content, Item, hour_of, plain, read

MICRO = timedelta(microseconds=1)
IDS = [
    "a",
    "b",
    "ü ✓",
    *(f"00000000-0000-4000-8000-{number:012}" for number in range(3)),
    *(f"t-{n}" for n in range(12)),
]
HIS_ID = '"his id"'
"""In its place the id of a customer is sent, as soon as there is one."""
FAULTS: Mapping[str, tuple[str, Any, str]] = {
    "no id": ("transaction_id", None, "transaction_id"),
    "an empty id": ("transaction_id", '""', "transaction_id"),
    "a long id": ("transaction_id", json.dumps("x" * 129), "transaction_id"),
    "no customer": ("customer_id", None, "customer_id"),
    "half a pair": ("customer_id", '"\\ud800"', "customer_id"),
    "a number as type": ("event_type", "5", "event_type"),
    "no time": ("timestamp", None, "timestamp"),
    "a time without a zone": ("timestamp", '"2026-10-25T10:00:00"', "timestamp"),
    "a list of properties": ("properties", "[1]", "properties"),
    "a control character": ("properties", '{"size":"\\u0001"}', "properties.size"),
}
"""What is written into which place (None: nothing), and the field that is told."""
WHENS = ["now", "the hour", "before the hour", "the day", "before the day", "an hour ago", "30 h ago", "50 h ago"]
EDGES = ["in an hour", "the oldest", "too old", "the farthest", "too far"]


@dataclass(frozen=True)
class Sent:
    id: str
    customer: str
    type: str
    when: str
    size: str | None
    region: str | None
    spelling: int = 0
    fault: str = ""


some_sent = st.builds(
    Sent,
    id=st.sampled_from(IDS),
    customer=st.sampled_from(['"acme"', '"acme"', '"globex"', '"東 京"', "7", '"7"', HIS_ID]),
    type=st.sampled_from(["api", "api", "job", "other"]),
    when=st.sampled_from(WHENS * 2 + EDGES),
    size=st.sampled_from(
        [
            "1",
            '"1"',
            "3",
            "4",
            "2.50",
            '"0.1"',
            "-2.5",
            "99999999999999999999.999999999999999999",
            '"0.000000000000000001"',
            "1e3",
            "0",
            "0.51",
            "100000000000000000000",
            None,
            '""',
            "true",
        ]
    ),
    region=st.sampled_from(['"eu"', '"eu"', '"us"', None, '""', '"東京"', "45", '"45"']),
    spelling=st.sampled_from([0, 0, 1, 2]),
    fault=st.sampled_from(["", "", "", "", "", "", "", "", *FAULTS]),
)


def instant(when: str, now: datetime, midnight: datetime) -> datetime:
    return {
        "now": now,
        "the hour": hour_of(now),
        "before the hour": hour_of(now) - MICRO,
        "the day": midnight,
        "before the day": midnight - MICRO,
        "an hour ago": now - HOUR,
        "30 h ago": now - 30 * HOUR,
        "50 h ago": now - 50 * HOUR,
        "in an hour": now + HOUR,
        "the oldest": now - KEEP,
        "too old": now - KEEP - MICRO,
        "the farthest": now + AHEAD,
        "too far": now + AHEAD + MICRO,
    }[when]


@dataclass(frozen=True)
class Written:
    """An event as it goes over the wire: JSON of each field, and what it must be taken for.

    `field`: what is wrong with it; empty: nothing but its time, perhaps.
    """

    fields: Mapping[str, str]
    properties: Mapping[str, str]
    id: str
    content: Content
    field: str = ""

    @property
    def item(self) -> Item:
        named = str(read(self.fields["customer_id"])) if "customer_id" in self.fields else None
        return Item(self.id, self.content, self.field, named, plain(self.json()))

    def json(self) -> str:
        fields = dict(self.fields)
        if self.properties and "properties" not in fields:
            shown = (f'"{name}":{value}' for name, value in self.properties.items())
            fields["properties"] = "{" + ",".join(shown) + "}"
        return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"

    def otherwise(self) -> Written:
        """The same once more as another program would write it: in another order, and with its numbers quoted."""
        properties = {name: _quoted(value) for name, value in [*self.properties.items()][::-1]}
        content = replace(self.content, properties={name: read(value) for name, value in properties.items()})
        fields = dict([*self.fields.items()][::-1])
        return Written(fields, properties, self.id, content, self.field)


def _quoted(number: str) -> str:
    return number if number[0] in '"tfn' else f'"{number}"'


def written(sent: Sent, now: datetime, midnight: datetime) -> Written:
    at = instant(sent.when, now, midnight)
    fields = {
        "transaction_id": json.dumps(sent.id, ensure_ascii=sent.spelling == 1),
        "customer_id": sent.customer,
        "timestamp": json.dumps(_time(at, sent.spelling)),
        "event_type": json.dumps(sent.type),
    }
    given = {"size": sent.size, "region": sent.region, "extra": "0.5" if sent.type == "job" else None}
    properties = {name: value for name, value in given.items() if value is not None}
    content = Content(
        str(read(sent.customer)), at, sent.type, {name: read(value) for name, value in properties.items()}
    )
    name, value, field = FAULTS[sent.fault] if sent.fault else ("", "", "")
    if value is None:
        del fields[name]
    elif name:
        fields[name] = value
    return Written(fields, properties, sent.id, content, field)


def _time(at: datetime, spelling: int) -> str:
    if spelling == 1:
        return at.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
    # Digits beyond the microsecond are cut off.
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}{'999' if spelling == 2 else ''}Z"


def body(found: Sequence[Written], door: str) -> str:
    if door == "lines":
        return "\n".join(one.json() for one in found)
    if door == "columns":
        return _columns(found)
    return "[" + ",".join(one.json() for one in found) + "]"


def _columns(found: Sequence[Written]) -> str:
    """Of events that are whole."""
    columns = {name: [one.fields[name] for one in found] for name in found[0].fields}
    names = sorted({name for one in found for name in one.properties})
    of = ",".join(f'"{name}":[{",".join(one.properties.get(name, "null") for one in found)}]' for name in names)
    told = [f'"{name}":[{",".join(values)}]' for name, values in columns.items()]
    return "{" + ",".join([*told, '"properties":{' + of + "}"]) + "}"
