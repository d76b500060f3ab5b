"""Lines read many at once make the events that they make one by one, to the last byte; what is not usual is left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.access.as_event import Ips, Shape, behind_id
from heartfly.core.access.customers import Customers, rule_of
from heartfly.core.access.formats import FORMATS, reader, takes_usual
from heartfly.core.access.request import Request
from heartfly.core.access.usual import UsualLines
from heartfly.core.by_column import Given, given_in
from heartfly.core.events import event_of, read
from heartfly.core.paths import rules_of
from heartfly.core.plain_columns import columns_read, plain_columns

PLAIN = '203.0.113.9 - - [17/May/2015:10:05:03 +0200] "GET /users/17?a=b HTTP/1.1" 200 1234 "-" "curl/8.5"'
SHAPES = [
    Shape(),
    Shape(rules=rules_of(['/users/{"n"}', "a* {any}"]), ips=Ips.KEEP, source='web "1"'),
    Shape(customers=Customers([rule_of("field:customer"), rule_of("user"), rule_of("path:1")]), ips=Ips.DROP),
]


def one_by_one(lines: Sequence[bytes], shape: Shape) -> list[tuple[object, str] | None]:
    read = reader("combined")
    found = [read(line.decode("utf-8", "replace")) for line in lines]
    return [(one.at, behind_id(one, shape)[0]) if isinstance(one, Request) else None for one in found]


def read_by(usual: UsualLines, raw: Sequence[bytes]) -> list[tuple[datetime, str] | None]:
    parted = usual.read(raw)
    columns, others = parted.columns, iter(parted.others)
    plain = iter(zip(columns.ats, columns.behind_ids(), strict=True))
    is_plain = [True] * len(raw) if parted.plain is None else parted.plain
    return [next(plain) if one else next(others) for one in is_plain]


words = st.text(st.sampled_from("ab1-é \\\"'\x00\x7f\r?#/{}[],:=.%") | st.characters(codec="utf-8"), max_size=6)
lines = st.one_of(
    st.builds(
        '{} - {} [{}] "{} /{} HTTP/{}" {} {}{}'.format,
        st.sampled_from(["203.0.113.9", "-", "::1", "{", "#x", "a,b"]) | words,
        st.sampled_from(["-", "ada"]) | words,
        st.sampled_from(["17/May/2015:10:05:03 +0200", "31/Feb/2015:10:05:03 +0200", "17/May/2015:10:05:03"]),
        st.sampled_from(["GET", "POST", "get", "A"]),
        st.sampled_from(["", "17", "/17", "a//17", "users/17", "users/17?a=b", "17/users", "a1#b", "a b"]) | words,
        st.sampled_from(["1.1", "2", "x"]),
        st.sampled_from(["200", "404", "999", "000", "-"]),
        st.sampled_from(["0", "-", "0017", "1234", "1" * 19]),
        st.sampled_from(
            ["", ' "-" "-"', ' "-" ""', ' "x" "curl/8.5"', ' "x" "curl/8.5" rt=0.012 urt="0.01, -" customer="acme"',
             ' "-" "a" "203.0.113.7"', " 0.012", ' "a']
        ) | words,
    ),
    words,
)  # fmt: skip


@settings(max_examples=100)
@given(st.lists(lines, max_size=4), st.sampled_from(SHAPES))
def test_what_is_usual_is_the_event_that_its_line_alone_makes(some: list[str], shape: Shape) -> None:
    raw = [line.replace("\n", "").encode() for line in [*some, PLAIN]]

    told = read_by(UsualLines(shape), raw)

    assert len(raw) == len(told)
    assert [None] == [
        one for one, alone in zip(told, one_by_one(raw, shape), strict=True) if one not in {None, alone}
    ] + [None]


@pytest.mark.parametrize("extra", ["", ' "203.0.113.7"', ' rt=0.012 urt="0.010" id=8f14 customer="acme"', " 0.012"])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_servers_write_is_usual(extra: str, shape: Shape) -> None:
    raw = [(PLAIN + extra).encode(), b"", PLAIN.encode()]

    told = read_by(UsualLines(shape), raw)

    assert one_by_one(raw, shape) == told
    assert [True, False, True] == [one is not None for one in told]


@pytest.mark.parametrize("other", [b"\xff", b"a\x7fb", b"{}", b"#Fields: date", b"\\x16\\x03", b'- - - [-] "-" 400 0'])
def test_a_line_that_is_not_usual_is_left_to_who_reads_line_by_line(other: bytes) -> None:
    assert None is read_by(UsualLines(Shape()), [PLAIN.encode(), other])[1]


def test_where_no_line_tells_a_day_that_there_is_all_are_left_to_who_reads_line_by_line() -> None:
    raw = [PLAIN.replace("17/May", day).encode() for day in ("31/Feb", "32/May")]

    assert one_by_one(raw, Shape()) == read_by(UsualLines(Shape()), raw)
    assert [False, False] == UsualLines(Shape()).read(raw).plain


@pytest.mark.parametrize("format_", [*FORMATS, "$remote_addr $status"])
def test_only_formats_that_are_read_as_combined_are_read_so(format_: str) -> None:
    assert (format_ in {"auto", "combined", "common", "vhost", "traefik"}) is takes_usual(format_, {})
    assert not takes_usual(format_, {"path": "p"})


@pytest.mark.parametrize("other", [f"a\n{PLAIN}".encode(), PLAIN.encode() + b" " * 16_384])
def test_with_a_line_that_is_two_or_too_long_all_are_left_to_who_reads_line_by_line(other: bytes) -> None:
    assert [None, None] == read_by(UsualLines(Shape()), [PLAIN.encode(), other])


@pytest.mark.parametrize("ips", list(Ips))
def test_of_a_client_without_an_address_nothing_is_told(ips: Ips) -> None:
    shape = Shape(ips=ips)
    raw = [("-" + PLAIN[PLAIN.index(" ") :]).encode()]

    (told,) = read_by(UsualLines(shape), raw)

    assert told is not None
    assert one_by_one(raw, shape) == [told]
    assert "203.0.113" not in told[1]


def test_lines_that_all_have_something_behind_the_agent_are_usual() -> None:
    raw = [(PLAIN + " rt=0.012").encode()] * 2

    assert one_by_one(raw, Shape()) == read_by(UsualLines(Shape()), raw)


def test_however_many_times_networks_routes_and_agents_lines_have_each_is_read_as_it_is() -> None:
    """More than are remembered of any of them."""

    def line(n: int) -> bytes:
        time = f"{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}"
        other = PLAIN.replace("10:05:03", time).replace("203.0.113", f"9.{n >> 8}.{n & 255}")
        return other.replace("/users/", f"/p-{n}x/").replace("curl", f"curl-{n}").encode()

    raw = [line(n) for n in (*range(10_001), 0)]

    told = read_by(UsualLines(Shape()), raw)

    assert told[0] == told[-1]
    assert 10_001 == len({one[0] for one in told if one is not None})
    assert one_by_one(raw[-2:], Shape()) == told[-2:]


AT = datetime(2015, 5, 17, 12, tzinfo=UTC)
WHOLE = {"now": AT, "oldest": AT - timedelta(days=400)}


@settings(max_examples=100)
@given(st.lists(lines, max_size=4), st.sampled_from(SHAPES[:2]))
def test_sent_by_column_they_are_the_events_that_they_are_one_by_one(some: list[str], shape: Shape) -> None:
    columns = UsualLines(shape).read([line.replace("\n", "").encode() for line in [*some, PLAIN]]).columns
    columns.ids = [f"id-{n}" for n in range(len(columns))]
    content = columns.body().encode()

    told = given_in(columns_read(content))

    assert isinstance(told, Given)
    assert [event_of(read(one), **WHOLE) for one in columns.events()] == list(
        plain_columns(told, content, **WHOLE) or ()
    )


def test_columns_are_put_together_and_taken_apart() -> None:
    usual = UsualLines(Shape())
    first, second = (usual.read([PLAIN.replace("17?", f"{n}?").encode()] * 2).columns for n in (1, 2))
    first.ids, second.ids = ["a", "b"], ["c", "d"]

    first.add(second)
    taken = first.first(3)

    assert (["a", "b", "c"], ["d"]) == (taken.ids, first.ids)
    assert taken.events()[2] == taken.only(2).events()[0]
    assert ["/users/1", "/users/1", "/users/2"] == taken.paths
    assert (3, 1) == (len(taken), len(first))


@pytest.mark.parametrize("ips", [["203.0.113.9", "-"], ["-", "-"], ["203.0.113.9", "203.0.113.10"]])
@pytest.mark.parametrize("agents", [["-", "-"], ["-", "curl/8.5"], ["a", "a"]])
def test_what_nobody_knows_of_some_or_all_is_not_told_by_column(ips: list[str], agents: list[str]) -> None:
    made = [
        PLAIN.replace("203.0.113.9", ip).replace("curl/8.5", agent).encode()
        for ip, agent in zip(ips, agents, strict=True)
    ]
    columns = UsualLines(Shape()).read(made).columns
    columns.ids = ["id-0", "id-1"]

    told = given_in(read(columns.body()))

    assert isinstance(told, Given)
    assert [event_of(read(one), **WHOLE) for one in columns.events()] == [
        event_of(one, **WHOLE) for one in told.events()
    ]
    assert (set(ips) == {"-"}) is ("ip" not in told.named)
    assert (set(agents) == {"-"}) is ("user_agent" not in told.named)


@pytest.mark.parametrize("extra", [" rt=0.012", ' rt=0.012 urt="0.010, 0.002"', " 12ms", " urt=1.5 id=8f14"])
@pytest.mark.parametrize("n", [1, 2])
def test_times_are_told_by_column_of_those_that_have_them(extra: str, n: int) -> None:
    columns = UsualLines(Shape()).read([(PLAIN + extra).encode()] * n + [PLAIN.encode()] * (2 - n)).columns
    columns.ids = ["id-0", "id-1"]
    content = columns.body().encode()

    told = given_in(columns_read(content))

    assert isinstance(told, Given)
    alone = [event_of(read(one), **WHOLE) for one in columns.events()]
    assert alone == list(plain_columns(told, content, **WHOLE) or ())
    assert {"latency_ms", "upstream_ms"} & told.named.keys()
