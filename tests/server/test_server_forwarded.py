"""Whose word counts for the client's address."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.server import client_address

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def ask(peer: str | None, *said: str, proto: tuple[str, ...] = (), scheme: str = "http", trusted: Any = TRUSTED) -> Any:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in said]
    headers += [(b"x-forwarded-proto", value.encode("latin-1")) for value in proto]
    scope = {"client": peer and (peer, 4711), "scheme": scheme, "headers": headers}
    return client_address(scope, trusted)


def test_without_a_proxy_the_peer_is_the_client() -> None:
    assert ("192.0.2.1", "http") == ask("192.0.2.1")


def test_a_stranger_cannot_say_who_it_is() -> None:
    assert ("192.0.2.1", "http") == ask("192.0.2.1", "198.51.100.7", proto=("https",))


def test_nobody_is_believed_if_nobody_is_trusted() -> None:
    assert ("10.0.0.1", "http") == ask("10.0.0.1", "198.51.100.7", proto=("https",), trusted=[])
    assert ("", "http") == ask(None, "198.51.100.7", trusted=[])


def test_a_trusted_proxy_names_the_client_and_its_scheme() -> None:
    assert ("198.51.100.7", "https") == ask("10.0.0.1", "198.51.100.7", proto=("https",))


@pytest.mark.parametrize(
    "said",
    [
        ("203.0.113.66, 198.51.100.7, 10.0.0.2, 10.0.0.3",),
        ("203.0.113.66", "198.51.100.7,10.0.0.2", "10.0.0.3"),
        ("garbage, 198.51.100.7, 10.0.0.2",),
        ("10.0.0.9, 198.51.100.7",),
        (", 198.51.100.7",),
    ],
)
def test_the_right_most_hop_that_is_not_trusted_is_the_client(said: tuple[str, ...]) -> None:
    # What stands to the left of it may have been sent by the client itself.
    assert "198.51.100.7" == ask("10.0.0.1", *said)[0]


def test_if_all_hops_are_trusted_the_first_of_them_is_the_client() -> None:
    assert "10.9.9.9" == ask("10.0.0.1", "10.9.9.9, 10.0.0.2")[0]


@pytest.mark.parametrize(
    "said",
    [
        *("", ",", "unknown", "198.51.100.7, ", "198.51.100.7, _hidden", "198.51.100.300", "1.2.3", "127.1"),
        *("0x7f.0.0.1", "fe80::1%eth0", "[::1", "::1]", "198.51.100.7:", "198.51.100.7:123456", "\xb2.1.1.1"),
        *("198.51.100.7\xa0x", "198.51.100.7 198.51.100.8", '"198.51.100.7"', "for=198.51.100.7"),
    ],
)
def test_what_cannot_be_read_makes_the_peer_the_client(said: str) -> None:
    assert "10.0.0.1" == ask("10.0.0.1", said)[0]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("198.51.100.7:4711", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, ::ffff:10.0.0.2", "198.51.100.7"),
        ("198.51.100.7, fd00::2", "198.51.100.7"),
    ],
)
def test_an_address_is_read_in_every_form_that_proxies_write(said: str, expected: str) -> None:
    assert expected == ask("10.0.0.1", said)[0]


def test_a_dual_stack_socket_calls_the_peer_by_another_name() -> None:
    assert ("198.51.100.7", "http") == ask("::ffff:10.0.0.1", "198.51.100.7")
    assert ("192.0.2.1", "http") == ask("::ffff:192.0.2.1", "198.51.100.7")


def test_a_unix_socket_is_a_local_proxy() -> None:
    assert ("198.51.100.7", "https") == ask(None, "198.51.100.7", proto=("https",))
    assert ("", "http") == ask(None)


def test_a_peer_that_is_no_address_is_shown_as_it_is_and_not_believed() -> None:
    assert ("testclient", "http") == ask("testclient", "198.51.100.7")


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        (("https",), "https"),
        (("HTTPS",), "https"),
        (("http",), "http"),
        (("http, https",), "https"),
        (("http", "https"), "https"),
        (("https", "javascript"), "http"),
        (("",), "http"),
        ((), "http"),
    ],
)
def test_the_nearest_proxy_says_the_scheme(proto: tuple[str, ...], expected: str) -> None:
    assert expected == ask("10.0.0.1", proto=proto)[1]


def test_a_scheme_that_nobody_disputes_stays() -> None:
    assert "https" == ask("10.0.0.1", scheme="https")[1]


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_whatever_a_client_sends_before_its_proxy_changes_nothing(sent: str, proto: str) -> None:
    assert ("198.51.100.7", "https") == ask("10.0.0.1", sent, "198.51.100.7, 10.0.0.2", proto=(proto, "https"))
