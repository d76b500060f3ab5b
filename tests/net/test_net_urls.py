"""Which URLs may be set up for a channel, and what the refusal says."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from heartfly.errors import InvalidValueError
from heartfly.net.http import OutgoingHttp, check_url
from heartfly.net.rules import Rules
from heartfly.net.urls import own_hosts, parse_target

SECRET = "T0/B0/s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/services/T0/B0/x",
        "http://example.com",
        "https://example.com:443/?a=b&c=%20",
        "http://example.com:80/",
        "https://bücher.example/ü?q=ö",
        "https://a_b.example/",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]/x",
        "https://example.com./",
        "https://example.com/$NAME/{id}",
        "HTTPS://Example.COM/Path",
        "http://intranet/",
    ],
)
def test_ordinary_urls_pass_unchanged(url: str) -> None:
    assert url == check_url(f"  {url}\n", field="url")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must start with http:// or https://"),
        ("example.com/hook", "must start with"),
        ("//example.com/", "must start with"),
        ("http:/example.com/", "must start with"),
        ("http:example.com", "must start with"),
        ("ftp://example.com/", "must start with"),
        ("file:///etc/passwd", "must start with"),
        ("unix:///var/run/docker.sock", "must start with"),
        ("http+unix://%2Fvar%2Frun%2Fdocker.sock/", "must start with"),
        ("javascript:alert(1)", "must start with"),
        ("http:///path", "needs a host name"),
        ("http://./", "needs a host name"),
        ("http://a..b/", "needs a host name"),
        ("http://-a.example/", "needs a host name"),
        (f"http://{'a' * 64}.example/", "needs a host name"),
        (f"http://{'a.' * 127}example/", "needs a host name"),
        ("http://$HOST/", "needs a host name"),
        ("http://exa%6dple.com/", "needs a host name"),
        ("http://127.1/", "needs a host name"),
        ("http://2130706433/", "needs a host name"),
        ("http://0x7f.0.0.1/", "needs a host name"),
        ("http://example.0x/", "needs a host name"),
        ("http://[fe80::1%25eth0]/", "needs a host name"),
        ("http://①②⑦.0.0.1/", "is not a URL that can be read"),
        ("http://[::1/", "is not a URL that can be read"),
        ("http://example.com:80:80/", "is not a URL that can be read"),
        ("http://example.com:http/", "is not a URL that can be read"),
        ("http://example.com:99999/", "has a port that does not exist"),
        ("http://example.com:0/", "has a port that does not exist"),
        ("http://user:pass@example.com/", "user name or password"),
        ("http://@example.com/", "user name or password"),
        ("http://example.com/#part", "fragment"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http://example.com/a b", "space"),
        ("http://example.com/\x00", "control character"),
        ("http://example.com/\r\nX: y", "control character"),
        ("http://exam\u200bple.com/", "control character"),
        ("http://example.com/" + "a" * 2048, "longer than 2048"),
        ("http://example.com:8080/", "uses port 8080"),
        ("http://8.8.8.8:8080/", "uses port 8080"),
    ],
)
def test_other_urls_are_refused_with_the_rule_they_break(url: str, words: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_url(url, field="config.url")

    assert "config.url" == caught.value.field
    assert words in caught.value.message


@pytest.mark.parametrize(
    "url", [f"http://10.1/{SECRET}", f"http://u@h/{SECRET}", f"http://h:99/?{SECRET}", f"x://{SECRET}"]
)
def test_a_refusal_does_not_repeat_what_may_be_a_secret(url: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_url(url, field="url")

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/", "http://[::1]:9000/", "http://localhost:9000/", "http://10.0.0.1/"]
)
def test_without_the_settings_an_address_that_they_may_open_passes(url: str) -> None:
    assert url == check_url(url, field="url")


def outgoing(*allow: str) -> OutgoingHttp:
    return OutgoingHttp(
        allow=[ip_network(network) for network in allow],
        own_hosts={"heartfly.example", "10.0.0.7:8000", "[fd00::7]:8000"},
        allowed_ports={80, 443, 8443},
        user_agent="test",
    )


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ((), "https://example.com:8443/"),
        ((), "https://8.8.8.8/"),
        (("10.0.0.0/8",), "http://10.0.0.1:9000/"),
        (("10.0.0.0/8",), "http://build.corp.example:9000/"),
        (("10.0.0.0/8",), "http://10.0.0.7:8001/"),
    ],
)
def test_with_the_settings_what_they_open_passes(allow: tuple[str, ...], url: str) -> None:
    assert url == outgoing(*allow).check_url(url, field="url")


@pytest.mark.parametrize(
    ("allow", "url", "words"),
    [
        ((), "http://127.0.0.1/", "loopback (127.0.0.0/8); the setting outgoing.allow_private can open it"),
        ((), "http://[::ffff:169.254.169.254]/", "link-local"),
        ((), "https://example.com:8080/", "uses port 8080"),
        ((), "https://8.8.8.8:8080/", "port 8080 is not open"),
        (("10.0.0.0/8",), "http://192.168.0.1/", "private"),
        (("10.0.0.0/8",), "http://8.8.8.8:9000/", "port 9000"),
        ((), "https://heartfly.example/ping/x", "leads to Heartfly itself"),
        ((), "https://HEARTFLY.example.:8443/ping/x", "leads to Heartfly itself"),
        (("10.0.0.0/8",), "http://10.0.0.7:8000/", "leads to Heartfly itself"),
        (("10.0.0.0/8",), "http://[::FFFF:10.0.0.7]:8000/", "leads to Heartfly itself"),
        (("fd00::/8",), "http://[FD00:0::7]:8000/", "leads to Heartfly itself"),
    ],
)
def test_with_the_settings_the_rest_is_refused_early(allow: tuple[str, ...], url: str, words: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        outgoing(*allow).check_url(url, field="url")

    assert words in caught.value.message


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://Example.com./x", "example.com", 80),
        ("https://example.com", "example.com", 443),
        ("https://bücher.example:8443", "xn--bcher-kva.example", 8443),
        ("http://[2600:0::A]:81/", "2600::a", 81),
        ("http://[::FFFF:1.2.3.4]:81/", "1.2.3.4", 81),
        ("http://1.2.3.4./", "1.2.3.4", 80),
    ],
)
def test_a_url_is_taken_apart_as_it_will_be_sent(url: str, host: str, port: int) -> None:
    target = parse_target(url, field="url")

    assert (host, port) == (target.host, target.port)
    assert target.is_literal or target.netloc in {host.encode(), f"{host}:{port}".encode()}


def test_rules_without_settings_let_only_the_public_internet_through() -> None:
    rules = Rules()

    assert None is rules.refusal("8.8.8.8", 443)
    assert "port 25 is not open for requests to the internet" == rules.refusal("8.8.8.8", 25)
    assert rules.refusal("10.0.0.1", 443) is not None


def test_an_address_opened_by_the_operator_is_opened_in_its_other_spellings_too() -> None:
    rules = Rules(allow=[ip_network("10.0.0.0/8")], own_hosts={"10.0.0.7:9000"})

    assert None is rules.refusal("::ffff:10.0.0.1", 9000)
    assert "that is Heartfly itself" == rules.refusal("::ffff:10.0.0.7", 9000)


@pytest.mark.parametrize(
    ("base_url", "public"),
    [
        ("https://Heartfly.example/under/a/path", "heartfly.example:443"),
        ("http://heartfly.example", "heartfly.example:80"),
        ("https://heartfly.example:8443", "heartfly.example:8443"),
        ("", ":80"),
    ],
)
def test_we_are_known_by_our_public_name_by_where_we_listen_and_on_loopback(base_url: str, public: str) -> None:
    known = own_hosts(base_url, "Pings.internal", 8000)

    assert {public, "pings.internal:8000", "127.0.0.1:8000", "[::1]:8000"} == known
