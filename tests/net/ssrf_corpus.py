"""URLs that try to make Heartfly talk to its own machine or network, made from tables.

Each address that is forbidden comes in every form that some resolver, parser or gateway
reads as that address. `address` is where the URL leads, as a resolver would answer it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

# First, last and one in between of each special block, and the places where clouds keep their secrets.
V4 = """
0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 100.100.100.200 127.0.0.0 127.0.0.1
127.255.255.254 169.254.0.1 169.254.169.254 169.254.170.2 169.254.255.255 172.16.0.0 172.31.255.255 192.0.0.1
192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
0.1.2.3 10.42.7.9 100.90.1.1 127.42.42.42 169.254.20.30 172.24.8.8 192.0.0.170 192.168.1.1 198.18.77.1 225.1.2.3
250.250.250.250 172.17.0.1 192.168.178.1 10.96.0.1
""".split()  # noqa: SIM905 - a table
V6 = """
:: ::1 0:0:0:0:0:0:0:1 0000:0000:0000:0000:0000:0000:0000:0001 ::0001 0::1 fe80::1 fe80::a9fe:a9fe febf::1 fec0::1
fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fdff:ffff::1 ff02::1 ff0e::1 100::1 5f00::1 4000::1 e000::1 2001:db8::1
3fff::1 2001::1 2001:2::1 2001:10::1 2001:20::1 64:ff9b:1::1
""".split()  # noqa: SIM905 - a table
SPELLED = ("127.0.0.1", "127.255.255.254", "10.0.0.1", "169.254.169.254", "192.168.0.1", "0.0.0.0")
NAMES = """
localhost LOCALHOST localhost. localhost.localdomain foo.localhost ip6-localhost ip6-loopback metadata
metadata.google.internal instance-data 127.0.0.1.nip.io 7f000001.nip.io localtest.me lvh.me spoofed.burpcollaborator.net
kubernetes.default.svc host.docker.internal
""".split()  # noqa: SIM905 - a table
SCHEMES = (
    "file",
    "ftp",
    "gopher",
    "dict",
    "ldap",
    "tftp",
    "jar",
    "netdoc",
    "ws",
    "wss",
    "data",
    "unix",
    "http+unix",
    "x",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    url: str
    address: str | None = None


def cases(port: int, socket_path: str) -> list[Case]:
    made = [*_plain_v4(port), *_inside_v6(port), *_v6(port), *_spellings(port), *_tricks(port), *_names(port)]
    made += _schemes(port, socket_path)
    return list({case.url: case for case in made}.values())


def _plain_v4(port: int) -> Iterator[Case]:
    for ip in V4:
        yield Case(url=f"http://{ip}:{port}/", address=ip)


def _v6(port: int) -> Iterator[Case]:
    for ip in V6:
        yield Case(url=f"http://[{ip}]:{port}/", address=ip)
    for zone in ("%25lo", "%lo", "%251", "%1", "%25"):
        yield Case(url=f"http://[::1{zone}]:{port}/", address="::1")
        yield Case(url=f"http://[fe80::1{zone}]:{port}/", address="fe80::1%1")


def inside_v6(ip: str) -> list[str]:
    number = int(IPv4Address(ip))
    pair = f"{number >> 16:x}:{number & 0xFFFF:x}"
    upside_down = number ^ 0xFFFFFFFF
    return [
        f"::ffff:{ip}",
        f"::ffff:{pair}",
        f"0:0:0:0:0:FFFF:{pair}",
        f"::{ip}",
        f"::ffff:0:{ip}",
        f"64:ff9b::{ip}",
        f"64:ff9b::{pair}",
        f"64:ff9b:1::{ip}",
        f"64:ff9b:1:{pair}::1",
        f"2002:{pair}::1",
        f"2002:808:808::{pair}",
        f"2001:0:{pair}::1",
        f"2001:0:808:808:0:0:{upside_down >> 16:x}:{upside_down & 0xFFFF:x}",
        f"2600:1:2:3:0:5efe:{pair}",
        f"2600:1:2:3:200:5efe:{ip}",
    ]


def _inside_v6(port: int) -> Iterator[Case]:
    for ip in V4:
        for outer in inside_v6(ip):
            yield Case(url=f"http://[{outer}]:{port}/", address=str(ip_address(outer)))


def _spellings(port: int) -> Iterator[Case]:
    for ip in SPELLED:
        number = int(IPv4Address(ip))
        a, b, c, d = ip.split(".")
        parts = [int(part) for part in (a, b, c, d)]
        for host in (
            str(number),
            hex(number),
            f"0{number:o}",
            f"0x{number:08X}",
            f"{a}.{number & 0xFFFFFF}",
            f"{a}.{b}.{number & 0xFFFF}",
            f"{a}.0x{number & 0xFFFFFF:x}",
            f"0x{parts[0]:x}.{number & 0xFFFFFF}",
            ".".join(f"0{part:o}" for part in parts),
            ".".join(f"0000{part:o}" for part in parts),
            ".".join(f"0x{part:x}" for part in parts),
            ".".join(f"0x{part:02X}" for part in parts),
            ".".join(f"{part:03d}" for part in parts),
            f"0{parts[0]:o}.0x{parts[1]:x}.{c}.{d}",
            f"{parts[0] + 256}.{b}.{c}.{d}",
            str(number + 2**32),
            f"{ip}.",
            f"{ip}..",
            f".{ip}",
            f"{number}.",
            ip.translate(FULL_WIDTH),
            ip.translate(CIRCLED),
            ip.replace(".", "\u3002"),
            ip.replace(".", "\uff0e"),
            ip.translate(FULL_WIDTH).replace(".", "\u3002"),
            "".join(f"%{ord(letter):02x}" for letter in ip),
            ip.replace(".", "%2e"),
            f"{ip}%00",
            f"{ip}%2eexample.com",
            f" {ip}",
            f"{ip}\t",
            f"+{ip}",
            f"[{ip}]",
            f"[{number:x}]",
        ):
            yield Case(url=f"http://{host}:{port}/", address=ip)


FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
CIRCLED = {ord("0"): 0x24EA} | {ord("0") + digit: 0x245F + digit for digit in range(1, 10)}


def _tricks(port: int) -> Iterator[Case]:
    for ip in ("127.0.0.1", "[::1]", "169.254.169.254"):
        at = f"{ip}:{port}"
        for url in (
            f"http://example.com@{at}/",
            f"http://example.com:80@{at}/",
            f"http://example.com%40{at}/",
            f"http://example.com\\@{at}/",
            f"http://example.com#@{at}/",
            f"http://{at}#@example.com/",
            f"http://{at}\\@example.com/",
            f"http://{at}@example.com:x/",
            f"http://example.com&@{at}#@example.com/",
            f"http://{at}:80/",
            f"http:/{at}/",
            f"http:{at}/",
            f"http:///{at}/",
            f"http:\\\\{at}/",
            f"//{at}/",
            f"\\\\{at}\\",
            f"{at}/",
            f"http://{at}\r\nHost: example.com/",
            f"ht\ttp://{at}/",
            f"\x00http://{at}/",
            f"http://{at} /",
            f"http://{at}\u2028/",
            f"URL:http://{at}/",
            f"http://{at}/..;/@example.com/",
            f"HTTP://{at}/",
            f"http://{at}/?x=http://example.com",
        ):
            yield Case(url=url)


def _names(port: int) -> Iterator[Case]:
    for name in NAMES:
        for address in ("127.0.0.1", "::1", "169.254.169.254"):
            yield Case(url=f"http://{name}:{port}/{address}", address=address)


def _schemes(port: int, socket_path: str) -> Iterator[Case]:
    quoted = socket_path.replace("/", "%2F")
    for scheme in SCHEMES:
        yield Case(url=f"{scheme}://127.0.0.1:{port}/")
        yield Case(url=f"{scheme}://{socket_path}")
        yield Case(url=f"{scheme}://{quoted}/")
        yield Case(url=f"{scheme}:{socket_path}")
    yield from (
        Case(url=url) for url in ("", "http://", "http://:80/", "http://unix:/", f"http://unix:{socket_path}:/")
    )
    yield Case(url=f"http://{quoted}/")
