"""Lines of access logs: each format, what is missing, and what the world writes into logs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.access.combined import _read_unusual, read_combined
from heartfly.core.access.formats import FORMATS, MAX_LINE, reader
from heartfly.core.access.json_lines import FieldMapError, json_reader
from heartfly.core.access.log_format import LogFormatError, compiled
from heartfly.core.access.request import Parser, Request, Unread, at_epoch, ms_of_micros, ms_of_nanos, path_of

COMBINED = (
    '203.0.113.9 - ada [17/May/2015:10:05:03 +0200] "GET /users/17?token=x HTTP/1.1" 200 1234 '
    '"http://example.com/" "curl/8.5"'
)
AT = datetime(2015, 5, 17, 8, 5, 3, tzinfo=UTC)


def read(line: str, format_: str = "auto") -> Request:
    found = reader(format_)(line)
    assert isinstance(found, Request), found
    return found


def why(line: str, format_: str = "auto") -> str:
    found = reader(format_)(line)
    assert isinstance(found, Unread), found
    return found


def told(request: Request) -> dict[str, Any]:
    """What it knows."""
    return {name: value for name, value in request._asdict().items() if value is not None and name != "fields"}


# --- common and combined


def test_a_combined_line() -> None:
    assert {
        "at": AT, "method": "GET", "path": "/users/17", "status": 200, "ip": "203.0.113.9", "user": "ada",
        "user_agent": "curl/8.5", "response_bytes": 1234,
    } == told(read(COMBINED))  # fmt: skip
    assert read(COMBINED) == read(COMBINED, "combined")


def test_a_common_line_knows_no_agent_and_no_line_a_latency_that_it_does_not_tell() -> None:
    found = read('::1 - - [17/May/2015:10:05:03 +0200] "POST / HTTP/2.0" 201 0')

    assert {"at": AT, "method": "POST", "path": "/", "status": 201, "ip": "::1", "response_bytes": 0} == told(found)
    assert (None, None, None) == (found.latency_ms, found.upstream_ms, found.request_bytes)


@pytest.mark.parametrize(
    ("head", "host", "ip", "user"),
    [
        ("example.com:443 203.0.113.9 - -", "example.com", "203.0.113.9", None),
        ("example.com 203.0.113.9 - ada", "example.com", "203.0.113.9", "ada"),
        ("203.0.113.9 - Ada Lovelace", None, "203.0.113.9", "Ada Lovelace"),
        ("203.0.113.9 - Ada King Lovelace", None, "203.0.113.9", "Ada King Lovelace"),
        ("example.com 203.0.113.9 - Ada Lovelace", "example.com", "203.0.113.9", "Ada Lovelace"),
        ("2001:db8::17 - -", None, "2001:db8::17", None),
        ("203.0.113.77, 10.0.0.1 - -", None, "203.0.113.77", None),
        ("203.0.113.77, 10.0.0.1, 10.0.0.2 - ada", None, "203.0.113.77", "ada"),
        ("203.0.113.77,10.0.0.1 - -", None, "203.0.113.77", None),
        ("203.0.113.77 10.0.0.1 - -", None, "10.0.0.1", None),
    ],
)
def test_who_asked_and_which_host(head: str, host: str | None, ip: str, user: str | None) -> None:
    found = read(COMBINED.replace("203.0.113.9 - ada", head), "vhost")

    assert (host, ip, user) == (found.host, found.ip, found.user)


@pytest.mark.parametrize("head", ["203.0.113.9 -", "a b c d e"])
def test_who_asked_must_be_said(head: str) -> None:
    assert "common or combined" in why(COMBINED.replace("203.0.113.9 - ada", head), "combined")


@pytest.mark.parametrize(
    ("extra", "latency", "upstream", "fields"),
    [
        (" 0.123", "123", None, {}),
        (" rt=1.5 urt=0.250", "1500", "250", {}),
        (' rt=0.010 urt="0.004, 0.005 : -" customer="ac\\"me" x=-', "10", "9", {"customer": 'ac"me'}),
        (' "203.0.113.7, 10.0.0.1"', None, None, {}),
        (' 17 "router@docker" "http://10.0.0.7:80" 12ms', "12", None, {}),
        (" 17", None, None, {}),
        (" 0.002 0.001 3ms", "2", None, {}),
        (" rt=- urt=-", None, None, {}),
    ],
)
def test_what_people_add(extra: str, latency: str | None, upstream: str | None, fields: dict[str, str]) -> None:
    found = read(COMBINED + extra)

    assert (latency, upstream, fields) == (found.latency_ms, found.upstream_ms, found.fields)


@pytest.mark.parametrize(
    ("asked", "method", "path"),
    [
        ("-", None, None),
        ("", None, None),
        (r"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03 \x80", None, None),
        ("PRI * HTTP/2.0", "PRI", "*"),
        ("get /", "GET", "/"),
        ("GET /a b/c HTTP/1.1", "GET", "/a b/c"),
        ("GET http://example.com/a?b HTTP/1.1", "GET", "/a"),
        ("GET https://example.com HTTP/1.1", "GET", "/"),
        ("CONNECT example.com:443 HTTP/1.1", "CONNECT", "example.com:443"),
        ("GET example.com HTTP/1.1", None, None),
        (r"GET /\x22\xC3\xA9\xFF\"\\ HTTP/1.1", "GET", '/"é\ufffd"\\'),
        (r"GET /a\tb\x00 HTTP/1.1", "GET", "/a\ufffdb\ufffd"),
        ("GET /?#a HTTP/1.1", "GET", "/"),
    ],
)
def test_request_lines_and_what_stands_in_their_place(asked: str, method: str | None, path: str | None) -> None:
    found = read(COMBINED.replace("GET /users/17?token=x HTTP/1.1", asked))

    assert (method, path, 200) == (found.method, found.path, found.status)


def test_dashes_are_nothing_but_for_apaches_bytes_which_are_none() -> None:
    found = read('- - - [17/May/2015:10:05:03 +0200] "-" - - "-" "-"')

    assert {"at": AT, "response_bytes": 0} == told(found)
    assert None is path_of("?x")


@pytest.mark.parametrize(
    ("time", "at"),
    [
        ("17/May/2015:10:05:03 -0330", datetime(2015, 5, 17, 13, 35, 3, tzinfo=UTC)),
        ("25/Oct/2015:02:30:00 +0200", datetime(2015, 10, 25, 0, 30, tzinfo=UTC)),
        ("25/Oct/2015:02:30:00 +0100", datetime(2015, 10, 25, 1, 30, tzinfo=UTC)),  # the hour that comes twice
        ("31/Dec/2016:23:59:60 +0000", datetime(2017, 1, 1, tzinfo=UTC)),
        ("17/May/2015:10:05:03.125 +0200", AT),
    ],
)
def test_offsets_and_leap_seconds(time: str, at: datetime) -> None:
    assert at == read(COMBINED.replace("17/May/2015:10:05:03 +0200", time)).at


@pytest.mark.parametrize(
    "time",
    ["17/Mai/2015:10:05:03 +0200", "31/Feb/2015:10:05:03 +0200", "17/May/2015:10:05:61 +0200", "yesterday",
     "17/May/2015:10:05:03", "17/May/2015:10:05:03 +0260", "01/Jan/0001:00:00:00 +0100"],
)  # fmt: skip
def test_a_time_that_is_none_is_said(time: str) -> None:
    assert "no time" in why(COMBINED.replace("17/May/2015:10:05:03 +0200", time), "combined")


# --- log_format


MAIN = """log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                '$status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_customer" '
                'rt=$request_time urt=$upstream_response_time len=$request_length id=$request_id host=${host}';"""


def test_a_log_format_as_it_stands_in_the_configuration() -> None:
    line = COMBINED + ' "acme" rt=0.004 urt=0.001, 0.002 len=431 id=8f14e45f host=api.example.com'

    found = read(line, MAIN)

    assert told(read(COMBINED)) | {
        "latency_ms": "4", "upstream_ms": "3", "request_bytes": 431, "request_id": "8f14e45f",
        "host": "api.example.com",
    } == told(found)  # fmt: skip
    assert "acme" == found.fields["http_x_customer"]
    assert "does not have the given log_format" in why(COMBINED, MAIN)


@pytest.mark.parametrize(
    ("format_", "line", "wanted"),
    [
        ("$msec|$request_method|$request_uri|$status", "1431849903.250|POST|/a?b|499",
         {"at": AT.replace(microsecond=250_000), "method": "POST", "path": "/a", "status": 499}),
        ("$time_iso8601 $uri $remote_addr", "2015-05-17T10:05:03+02:00 /a 203.0.113.9",
         {"at": AT, "path": "/a", "ip": "203.0.113.9"}),
        ("$time_iso8601 [$request] $status", "2015-05-17T10:05:03+02:00 [] 400", {"at": AT, "status": 400}),
        ("$request_uri $msec", "- 1431849903", {"at": AT}),
        ("$request $status $msec", "GET /a HTTP/1.1 200 1431849903",
         {"at": AT, "method": "GET", "path": "/a", "status": 200}),
        ('"$request" $time_local $msec', '"GET /a HTTP/1.1" 17/May/2015:10:05:04 +0200 1431849903.001',
         {"at": AT.replace(microsecond=1_000), "method": "GET", "path": "/a"}),
        ("$msec $request_method $request_uri $bytes_sent $realip_remote_addr", "1431849903 - /a - 203.0.113.9",
         {"at": AT, "path": "/a", "ip": "203.0.113.9"}),
    ],
)  # fmt: skip
def test_any_log_format(format_: str, line: str, wanted: dict[str, Any]) -> None:
    assert wanted == told(read(line, format_))


def test_what_a_log_format_names_can_be_asked_for_as_a_customer() -> None:
    found = read("1431849903 203.0.113.9 /a 200 curl", "$msec $remote_addr $request_uri $status $http_user_agent")

    assert {
        "remote_addr": "203.0.113.9", "request_uri": "/a", "status": "200", "http_user_agent": "curl",
    } == found.fields  # fmt: skip


def test_a_log_format_that_is_json() -> None:
    format_ = """log_format j escape=json '{"t":"$time_iso8601","r":"$request","s":$status,"a":"$http_user_agent",'
        '"rt":"$request_time","fixed":"x","c":"$http_x_customer"}';"""
    line = (
        '{"t":"2015-05-17T10:05:03+02:00","r":"GET /a\\\\b HTTP/1.1","s":200,"a":"q\\"\\u00e9","rt":"0.5","c":"acme"}'
    )

    found = read(line, format_)

    assert {
        "at": AT,
        "method": "GET",
        "path": "/a\\b",
        "status": 200,
        "user_agent": 'q"é',
        "latency_ms": "500",
    } == told(found)
    assert {"http_x_customer": "acme"}.items() <= found.fields.items()
    assert ["is no JSON", "is no object of JSON", "has no time that can be read"] == [
        why(line, format_) for line in ("{", "[1]", '{"s":200}')
    ]


@pytest.mark.parametrize(
    ("format_", "said"),
    [
        ("$request $status", "no time"),
        ("$msec $status", "no request"),
        ("$msec $request$status", "nothing between $request and $status"),
        ("log_format main $msec $request", "quotes"),
        ('{"a":$msec,"r":"$request"', "no object of JSON"),
        ('{"a":$msec,"r":{"p":"$request_uri"}}', "use --format json, and --field"),
    ],
)
def test_a_log_format_that_tells_too_little_is_refused(format_: str, said: str) -> None:
    with pytest.raises(LogFormatError, match=said.replace("$", r"\$")):
        compiled(format_)


def test_a_log_format_in_double_quotes() -> None:
    assert "/a" == read("1431849903 '/a'", "log_format x \"$msec '$uri'\";").path
    assert "/a" == read("1431849903 '/a'", r"'$msec \'$uri\''").path


# --- JSON


CADDY = (
    '{"level":"info","ts":1431849903.5241024,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":'
    '"203.0.113.9","remote_port":"41342","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/users/17?a=b",'
    '"headers":{"User-Agent":["curl/8.5"],"X-Empty":[],"X-Customer":["acme"]}},"bytes_read":12,"user_id":"","duration":9.2e-05,'
    '"size":10900,"status":200}'
)


def test_caddy() -> None:
    found = read(CADDY)

    assert {
        "at": AT.replace(microsecond=524_102), "method": "GET", "path": "/users/17", "status": 200,
        "ip": "203.0.113.9", "host": "localhost", "user_agent": "curl/8.5", "latency_ms": "0.092",
        "request_bytes": 12, "response_bytes": 10900,
    } == told(found)  # fmt: skip
    assert ("acme", None, "info") == tuple(map(found.fields.get, ("http_x_customer", "http_x_key", "level")))
    assert "message" not in found.fields
    assert (8, True) == (len(found.fields) - 2, "level" in list(found.fields))
    assert "1.5" == read(CADDY.replace("9.2e-05", '"1.5ms"')).latency_ms
    assert None is read(CADDY.replace("9.2e-05", '"soon"')).latency_ms


def test_traefik() -> None:
    line = (
        '{"ClientHost":"203.0.113.9","ClientUsername":"-","DownstreamContentSize":17,"DownstreamStatus":502,'
        '"Duration":1234567,"OriginDuration":1000000,"RequestContentSize":3,"RequestHost":"example.com",'
        '"RequestMethod":"PUT","RequestPath":"/a/1?b","StartUTC":"2015-05-17T08:05:03.25Z","request_X-Customer":"acme"}'
    )

    found = read(line)

    assert {
        "at": AT.replace(microsecond=250_000), "method": "PUT", "path": "/a/1", "status": 502, "ip": "203.0.113.9",
        "host": "example.com", "latency_ms": "1.234567", "upstream_ms": "1", "request_bytes": 3, "response_bytes": 17,
    } == told(found)  # fmt: skip
    assert "acme" == found.fields["http_x_customer"]
    assert read(COMBINED) == read(COMBINED, "traefik")
    assert found[:-1] == read(line, "traefik")[:-1]


def test_a_map_says_what_stands_where() -> None:
    line = '{"when":1431849903250,"http":{"verb":"post","url":"https://x/a?b"},"took.ms":"7.50","tags":["acme"],"duration":9}'

    found = json_reader({"at": "when", "method": "http.verb", "path": "http.url", "latency_ms": "took.ms"})(line)

    assert isinstance(found, Request)
    assert {"at": AT.replace(microsecond=250_000), "method": "POST", "path": "/a", "latency_ms": "7.5"} == told(found)
    assert "acme" == found.fields["tags"]
    with pytest.raises(FieldMapError, match="verb is not one of at, request, method"):
        reader("json", fields={"verb": "x"})
    mapped = reader(fields={"at": "when", "latency_us": "us"})('{"when":"2015-05-17T08:05:03Z","us":1,"status":200}')
    assert isinstance(mapped, Request)
    assert "0.001" == mapped.latency_ms


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "is no object"),
        ("[" * 50_000, "is no JSON"),
        ('{"time":"2015-05-17T10:05:03"}', "has no time"),
        ('{"ts":"999999999999"}', "has no time"),
        ('{"ts":1e999999999}', "has no time"),
        ('{"ts":1e9999999999999999999999}', "has no time"),
        ('{"request":{"headers":[]}}', "has no time"),
        ('{"level":"info","ts":1431849903.1,"logger":"admin","msg":"autosaved config"}', "tells of no request"),
        ('{"time":"2015-05-17T10:05:03Z","level":"info","msg":"Traefik version 3"}', "tells of no request"),
        (
            '{"ts":1431849903.1,"logger":"http.log.error.log0","request":{"method":"GET","uri":"/a"},"status":502}',
            "access log tells of the same request",
        ),
    ],
)
def test_json_that_tells_of_no_request(line: str, said: str) -> None:
    assert said in why(line, "json")


def test_json_with_a_request_line_and_no_headers() -> None:
    found = read('{"time":"2015-05-17T10:05:03+0200","request":"GET /a HTTP/1.1","status":"200","request_length":null}')

    assert {"at": AT, "method": "GET", "path": "/a", "status": 200} == told(found)
    assert None is found.fields.get("http_x")


# --- W3C


def test_cloudfront() -> None:
    read_ = reader("auto")
    fields = "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(User-Agent) cs-bytes"
    head = ["#Version: 1.0", f"#Fields: {fields} time-taken x-edge-request-id x-host-header"]
    words = ["2015-05-17", "08:05:03", "FRA2", "2390", "203.0.113.9", "GET", "d1.cloudfront.net", "/users/17", "200",
             "Mozilla/5.0%20(X11)", "421", "0.012", "SOX4", "www.example.com"]  # fmt: skip

    assert [None, None] == [read_(line) for line in head]
    found = read_("\t".join(words))

    assert isinstance(found, Request)
    assert {
        "at": AT, "method": "GET", "path": "/users/17", "status": 200, "ip": "203.0.113.9", "host": "www.example.com",
        "user_agent": "Mozilla/5.0 (X11)", "latency_ms": "12", "request_bytes": 421, "response_bytes": 2390,
        "request_id": "SOX4",
    } == told(found)  # fmt: skip
    assert "FRA2" == found.fields["x-edge-location"]
    assert "of no known format" in str(read_("a\tb"))


def test_iis_counts_milliseconds() -> None:
    read_ = reader("w3c")
    assert "comes before a #Fields line" in str(read_("2015-05-17 08:05:03"))
    for line in ("#Software: Microsoft Internet Information Services 10.0", "#Date: x",
                 "#Fields: date time cs-method cs-uri-stem sc-status time-taken cs(User-Agent)"):  # fmt: skip
        assert None is read_(line)

    found = read_("2015-05-17 08:05:03 GET - 404 17 Mozilla/5.0+(X11)")

    assert isinstance(found, Request)
    assert {"at": AT, "method": "GET", "status": 404, "latency_ms": "17", "user_agent": "Mozilla/5.0 (X11)"} == told(
        found
    )
    odd = read_("2015-05-17 08:05:03 G\x00t / 200 17 x")
    assert isinstance(odd, Request)
    assert "G\N{REPLACEMENT CHARACTER}T" == odd.method
    assert "does not have the fields" in str(read_("2015-05-17 08:05:03"))
    assert "no date and time" in str(read_("- 08:05:03 GET / 404 17 x"))
    assert None is read_("#Software: other")


# --- load balancers


ALB = (
    "https 2015-05-17T08:05:03.250000Z app/lb/50dc 203.0.113.9:2817 10.0.0.1:80 0.001 0.020 0.000 200 200 34 366 "
    '"GET https://www.example.com:443/users/17?a=b HTTP/1.1" "curl/8.5" ECDHE TLSv1.2 arn:aws:x "Root=1-58" '
    '"www.example.com" "arn:cert" 0 2015-05-17T08:05:03Z "forward"'
)


def test_a_load_balancer_of_amazon() -> None:
    wanted = {
        "at": AT.replace(microsecond=250_000), "method": "GET", "path": "/users/17", "status": 200, "ip": "203.0.113.9",
        "user_agent": "curl/8.5", "latency_ms": "21", "upstream_ms": "20", "request_bytes": 34, "response_bytes": 366,
    }  # fmt: skip
    assert wanted | {"host": "www.example.com", "request_id": "Root=1-58"} == told(read(ALB))
    classic = ALB.removeprefix("https ").partition(" arn:")[0]
    assert wanted == told(read(classic, "elb"))
    assert wanted | {"ip": "2001:db8::1"} == told(read(classic.replace("203.0.113.9", "[2001:db8::1]")))
    assert None is read(classic.partition(' "curl')[0], "elb").user_agent
    assert None is read(ALB.partition(" arn:")[0], "alb").host


def test_a_part_of_the_latency_that_nobody_knows_leaves_all_of_it_unknown() -> None:
    found = read(ALB.replace("0.001 0.020 0.000 200 200", "-1 -1 -1 460 -"))

    assert (None, None, 460) == (found.latency_ms, found.upstream_ms, found.status)


def test_a_line_of_a_load_balancer_has_a_time_and_all_its_parts() -> None:
    assert "has no time" in why(ALB.replace("2015-05-17T08:05:03.250000Z", "now"), "alb")
    assert "is no line of a load balancer" in why("https 2015-05-17T08:05:03.250000Z", "alb")


# --- all of them


def test_formats_may_be_mixed_in_one_file() -> None:
    read_ = reader()
    lines = [COMBINED, CADDY, "", "#Fields: date time cs-uri-stem", "2015-05-17 08:05:03 /a", ALB, COMBINED, "  "]

    assert ["/users/17", "/users/17", None, None, "/a", "/users/17", "/users/17", None] == [
        found.path if isinstance(found := read_(line), Request) else found for line in lines
    ]


def test_a_line_that_is_too_long_is_not_looked_at() -> None:
    assert f"is longer than {MAX_LINE} characters" == why("x" * 2_000_000)
    long = read(COMBINED.replace("/users/17", "/" + "a" * 30_000).replace("curl/8.5", "b" * 30_000))
    assert (2_048, 512) == (len(long.path or ""), len(long.user_agent or ""))


def test_figures_are_exact() -> None:
    assert ["0.000001", "1234.567", "0.1"] == [ms_of_nanos("1"), ms_of_micros("1234567"), ms_of_micros("100")]
    assert [None, None] == [ms_of_nanos("-1"), at_epoch("x")]
    assert "123456789000" == read(COMBINED + " 123456789.000").latency_ms
    assert None is at_epoch("99999999999999")


@settings(max_examples=60)
@given(
    st.tuples(
        st.sampled_from(["203.0.113.9", "203.0.113.9,::1", "-", "::1", r"a\x22b", "é", "x" * 70]),
        st.sampled_from(["-", "ada", r"a\"b", "ada lovelace", "ü"]),
        st.sampled_from(["GET", "get", "M-SEARCH", "POST", ""]),
        st.sampled_from(["/", "/a?b", "/a#b?c", "/a b", r"/\x22", "/é?ü", "*", "http://x/a", "/" + "y" * 700, "//a//"]),
        st.sampled_from([" HTTP/1.1", " HTTP/2", "", " FTP/1"]),
        st.sampled_from(
            [
                '200 1 "-" "curl"',
                "404 -",
                '- 5 "" ""',
                f'200 1 "-" "{"a" * 600}"',
                r'700 1 "\"" "\"" 0.5',
                '200 1 "-" "curl" "10.0.0.1" rt=0.5',
                "200 1 0.25",
                r'200 13316 "\x22" "curl"',
                '200 1 "a" 0.25',
            ]
        ),
    )
)
def test_what_is_usual_is_read_as_all_else_is(parts: tuple[str, ...]) -> None:
    """There is a shorter way for most lines; it leads to the same place."""
    ip, user, method, target, protocol, rest = parts
    line = f'{ip} - {user} [17/May/2015:10:05:03 +0200] "{method} {target}{protocol}" {rest}'

    assert _read_unusual(line) == read_combined(line)


def test_a_referrer_with_escapes_takes_nothing_from_the_size_before_it() -> None:
    found = read(COMBINED.replace("http://example.com/", r"http://\xe4\xe5/").replace("1234", "13316"))

    assert (13316, "curl/8.5") == (found.response_bytes, found.user_agent)


HOSTILE = st.one_of(
    st.text(max_size=300),
    st.text(alphabet='"\\- []{}:,.#$GET/HTP0123456789+\t', max_size=300),
    st.builds(
        lambda line, at, put: line[:at] + put + line[at + len(put) :],
        st.sampled_from([COMBINED, CADDY, ALB, COMBINED + " rt=0.1 urt=0.1"]), st.integers(0, 200), st.text(max_size=9),
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(HOSTILE, min_size=1, max_size=4))
def test_no_line_raises(lines: list[str]) -> None:
    readers: list[Parser] = [*map(reader, FORMATS), reader(MAIN), reader("$msec $uri $http_a [$request]")]
    for read_ in readers:
        for line in ["#Fields: date time cs-uri-stem sc-status", *lines]:
            found = read_(line)
            assert found is None or isinstance(found, Request | Unread)
