"""Which socket addresses may be reached: the edges of every block, and every way to wrap IPv4 in IPv6."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest

from heartfly.errors import InvalidValueError
from heartfly.net.addresses import forbidden_reason, parse_allow_private

FORBIDDEN_EDGES = """
0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.0 127.0.0.1 127.255.255.255
169.254.0.0 169.254.169.254 169.254.255.255 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.9 192.0.0.192 192.0.0.255
192.0.2.0 192.0.2.255 192.88.99.0 192.88.99.255 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255
198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255
168.63.129.16 100.100.100.200
:: ::1 ::127.0.0.1 ::8.8.8.8 1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 4000:: 100::1 5f00::1 fc00:: fd00:ec2::254
fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe80::1 febf::1 fec0::1 ff02::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
2001:: 2001:0:53aa:64c:0:fbff:f5ff:fffe 2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff
2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2002:: 2002:a00:1::1 2002:808:808::1 2002:ffff:ffff::
3fff:: 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff
::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.1.2.3 ::ffff:a9fe:a9fe 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::
64:ff9b:1::8.8.8.8 64:ff9b:1::7f00:1 64:ff9b:0:1::1 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8
2600::5efe:127.0.0.1 2600:1:2:3:200:5efe:10.0.0.1 2a00:1450:4001:0:0:5efe:c0a8:101
""".split()  # noqa: SIM905 - a table

PUBLIC_EDGES = """
1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.1.255 192.0.3.0 192.88.98.255 192.88.100.0 192.167.255.255
192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
168.63.129.15 168.63.129.17 1.1.1.1 8.8.8.8 9.9.9.9 34.196.0.1 52.20.30.40 140.82.121.3 151.101.1.69 185.199.108.153
2000:: 2001:200:: 2001:4860:4860::8888 2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9:: 2001:ffff:: 2003::
2600:1f18::1 2606:4700:4700::1111 2620:fe::fe 2a00:1450:4001:81b::2004 2a01:4f8::1 2a02:6b8::2 2a04:4e42::81
2400:cb00::1 2800:3f0::1 2c0f:fb50::1 3ffe:: 3fff:1000:: 2a03:2880:f12f:83:face:b00c:0:25de
::ffff:8.8.8.8 ::ffff:101:101 64:ff9b::8.8.8.8 64:ff9b::101:101 2600::5efe:8.8.8.8 2600::200:5efe:101:101
2600::1:5efe:7f00:1
""".split()  # noqa: SIM905 - a table

# One address of each public /8 of IPv4, and of each /20 of IPv6 that is given out here and there.
PUBLIC_SAMPLE = [
    *(f"{first}.{(first * 7) % 256}.33.{first % 254 + 1}" for first in range(1, 224) if first not in {10, 127}),
    *(f"{block:x}:{block % 4096:x}::{block:x}" for block in range(0x2400, 0x2C10, 0x80)),
]


@pytest.mark.parametrize("ip", FORBIDDEN_EDGES)
def test_the_edges_of_every_special_block_are_forbidden(ip: str) -> None:
    assert forbidden_reason(ip, ()) is not None


@pytest.mark.parametrize("ip", PUBLIC_EDGES)
def test_the_neighbours_of_special_blocks_are_public(ip: str) -> None:
    assert None is forbidden_reason(ip, ())


def test_two_hundred_and_more_public_addresses_are_all_let_through() -> None:
    assert 250 < len(set(PUBLIC_SAMPLE + PUBLIC_EDGES))
    assert {} == {ip: reason for ip in PUBLIC_SAMPLE if (reason := forbidden_reason(ip, ()))}


@pytest.mark.parametrize(
    ("ip", "reason"),
    [
        ("10.1.2.3", "private (10.0.0.0/8)"),
        ("::ffff:10.1.2.3", "private (10.0.0.0/8)"),
        ("64:ff9b::a9fe:a9fe", "link-local (169.254.0.0/16)"),
        ("2002:a00:1::1", "6to4 tunnel (2002::/16)"),
        ("2001:0:1::1", "Teredo tunnel (2001::/32)"),
        ("2600::5efe:127.0.0.1", "ISATAP tunnel to loopback (127.0.0.0/8)"),
        ("fe80::1", "outside the public IPv6 space (2000::/3)"),
        ("fe80::1%eth0", "an address of one network interface only"),
        ("127.1", "not an IP address"),
        ("0177.0.0.1", "not an IP address"),
        ("localhost", "not an IP address"),
        ("", "not an IP address"),
    ],
)
def test_the_reason_names_the_block(ip: str, reason: str) -> None:
    assert reason == forbidden_reason(ip, ())


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "::1", "fd00::1", "fe80::1",
     "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"],
)  # fmt: skip
def test_allow_private_true_opens_private_networks_loopback_and_link_local(ip: str) -> None:
    assert None is forbidden_reason(ip, parse_allow_private(True))  # noqa: FBT003 - the setting's value


@pytest.mark.parametrize(
    "ip", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "::", "ff02::1", "2002:a00:1::1", "fe80::1%eth0"]
)
def test_allow_private_true_opens_nothing_else(ip: str) -> None:
    assert forbidden_reason(ip, parse_allow_private(True)) is not None  # noqa: FBT003 - the setting's value


def test_allow_private_false_opens_nothing() -> None:
    assert () == parse_allow_private(False)  # noqa: FBT003 - the setting's value


def test_a_list_opens_exactly_what_it_names() -> None:
    allowed = parse_allow_private(["10.1.0.0/16", "192.168.7.9", "fd00:1::/32"])

    assert (IPv4Network("10.1.0.0/16"), IPv4Network("192.168.7.9/32"), IPv6Network("fd00:1::/32")) == allowed
    opened = {
        ip: forbidden_reason(ip, allowed) is None for ip in ("10.1.2.3", "192.168.7.9", "fd00:1::5", "::ffff:10.1.2.3")
    }
    assert {"10.1.2.3": True, "192.168.7.9": True, "fd00:1::5": True, "::ffff:10.1.2.3": True} == opened
    closed = {ip: forbidden_reason(ip, allowed) is None for ip in ("10.2.0.0", "192.168.7.8", "fd00:2::5", "127.0.0.1")}
    assert {"10.2.0.0": False, "192.168.7.8": False, "fd00:2::5": False, "127.0.0.1": False} == closed


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "private", "", "10.0.0.0-10.0.0.9"])
def test_a_list_with_something_that_is_no_network_names_its_place(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_allow_private(["10.0.0.0/8", text])

    assert "outgoing.allow_private[1]" == caught.value.field
