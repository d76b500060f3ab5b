"""The table `[smtp]`: where mails are taken that are signals of jobs, and how large they may be."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from heartfly.config.section import Section

_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,62}\.?)+", re.ASCII)


class Smtp(Section, frozen=True):
    """Mails that are pings: to `PING_UUID@domain`, or `PING_KEY+SLUG@domain`."""

    listen: str = ""
    """HOST:PORT. Empty: nowhere."""
    domain: str = ""
    """What stands behind the @ of their addresses."""
    max_bytes: Annotated[int, msgspec.Meta(ge=10_000, le=50_000_000)] = 2_000_000
    """Of a mail; a larger one is refused."""
    connections: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50
    certificate: str = ""
    """File (PEM, with its chain) that STARTTLS shows. Empty: mails come in the clear."""
    key: str = ""
    """File of its private key. Empty: it stands in that of the certificate."""

    def __post_init__(self) -> None:
        if not self.listen:
            return
        if self.address[1] < 0:
            raise ValueError("listen: Expected HOST:PORT, such as 0.0.0.0:25")
        if not _DOMAIN.fullmatch(self.domain):
            raise ValueError("domain: Expected a host name, such as ping.example.org, as listen is set")
        if self.key and not self.certificate:
            raise ValueError("certificate: Expected the file of the certificate, as key is set")

    @property
    def address(self) -> tuple[str, int]:
        """A port below zero: it is none."""
        host, _, port = self.listen.rpartition(":")
        fits = host and port.isdecimal() and port.isascii() and len(port) <= 5 and int(port) <= 65_535
        return host.strip("[]"), int(port) if fits else -1

    def mail_address(self, ping_uuid: str) -> str:
        """To which a mail is a signal of that check. Empty: none is taken."""
        return f"{ping_uuid}@{self.domain}" if self.listen else ""
