"""The table `[outgoing]`: where webhooks, chat messages and their like may go, and by which proxy.

What its values mean for a request is decided in net/, which also reads them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from typing_extensions import override

from heartfly.config.section import MASK, Network, Port, Seconds, Section, networks_in
from heartfly.errors import InvalidValueError
from heartfly.net.addresses import parse_allow_private
from heartfly.net.rules import Listed

if TYPE_CHECKING:
    from heartfly.net.proxy import Proxy


class Outgoing(Section, frozen=True):
    """Where webhooks, chat messages and their like may go."""

    allow_private: bool | tuple[str, ...] = False
    allowed_ports: tuple[Port, ...] = (80, 443)
    only_to: tuple[str, ...] = ()
    """Empty: to any public address; read it through `listed`."""
    proxy: str = ""
    """Empty: none; read it through `forward_proxy`."""
    deadline_s: Seconds = 15.0

    def __post_init__(self) -> None:
        if not isinstance(self.allow_private, bool):
            list(networks_in("allow_private", self.allow_private))
        try:
            _ = self.listed, self.forward_proxy
        except InvalidValueError as error:
            raise ValueError(str(error)) from None  # which goes on to say the setting, and never what it is

    @override
    def _shown(self, name: str) -> object:
        value = super()._shown(name)
        return re.sub(r"//.*@", f"//{MASK}@", self.proxy, flags=re.DOTALL) if name == "proxy" else value

    @property
    def private_networks(self) -> tuple[Network, ...]:
        """The networks that are open although not public: none, all, or those listed."""
        allowed = self.allow_private if isinstance(self.allow_private, bool) else list(self.allow_private)
        return parse_allow_private(allowed)

    @property
    def listed(self) -> Listed:
        if not self.only_to:
            return Listed()
        # Here, and below: to read URLs takes imports of a tenth of a second, which each command would pay.
        from heartfly.net.only_to import parse_only_to  # noqa: PLC0415

        return parse_only_to(self.only_to)

    @property
    def forward_proxy(self) -> Proxy | None:
        if not self.proxy:
            return None
        from heartfly.net.proxy import parse_proxy  # noqa: PLC0415

        return parse_proxy(self.proxy)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the proxy's address signs in to it."""
        if not self.proxy:
            return ()
        from heartfly.net.proxy import secrets_in  # noqa: PLC0415

        return secrets_in(self.proxy)
