"""The table `[syslog]`: where lines of access logs are heard, from whom, and how they are read.

What is wrong with a format or a rule is said by those who read it (core/access/).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartfly.config.section import Network, Section, networks_in


class Syslog(Section, frozen=True):
    """Lines of access logs that web servers send by syslog."""

    listen: str = ""
    """HOST:PORT, of UDP and TCP. Empty: nowhere."""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Who may send: syslog knows no keys."""
    project: str = ""
    """The slug of the project whose requests they are."""
    format: str = "auto"
    """One of those of `heartfly usage import-logs`, or a `log_format` of nginx."""
    customers: tuple[str, ...] = ()
    ip: Literal["keep", "truncate", "drop"] = "truncate"
    source: str = ""
    most_waiting: Annotated[int, msgspec.Meta(ge=1_000, le=1_000_000)] = 100_000
    """Messages that wait to be stored; what comes beyond, or beyond 64 MiB, is dropped (UDP) or waits at its
    sender (TCP)."""

    def __post_init__(self) -> None:
        list(networks_in("allow", self.allow))
        if not self.listen:
            return
        if self.address[1] < 0:
            raise ValueError("listen: Expected HOST:PORT, such as 127.0.0.1:5514")
        if not self.project:
            raise ValueError("project: Expected the slug of a project, as listen is set")
        # Here, as most never need them.
        from heartfly.core.access.customers import CustomerRuleError, rule_of  # noqa: PLC0415
        from heartfly.core.access.formats import FORMATS, reader  # noqa: PLC0415
        from heartfly.core.access.log_format import LogFormatError  # noqa: PLC0415

        if self.format not in FORMATS and "$" not in self.format:
            raise ValueError(f"format: Expected one of {', '.join(FORMATS)}, or a log_format")
        try:
            reader(self.format)
        except LogFormatError as error:
            raise ValueError(f"format: {error}") from error
        for i, text in enumerate(self.customers):
            try:
                rule_of(text)
            except CustomerRuleError as error:
                raise ValueError(f"customers[{i}]: {error}") from error

    @property
    def address(self) -> tuple[str, int]:
        """A port below zero: it is none."""
        host, _, port = self.listen.rpartition(":")
        fits = host and port.isdecimal() and port.isascii() and len(port) <= 5 and int(port) <= 65_535
        return host.strip("[]"), int(port) if fits else -1

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(networks_in("allow", self.allow))
