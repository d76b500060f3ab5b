"""What each table of the settings is: unknown names are refused, secrets never show. And lists of networks."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, ClassVar

import msgspec
from typing_extensions import override

Network = IPv4Network | IPv6Network
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]  # the upper bound also refuses inf and nan
MASK = "***"


def networks_in(field: str, texts: tuple[str, ...]) -> Iterator[Network]:
    """ValueError names the one that is none."""
    for i, text in enumerate(texts):
        try:
            yield ip_network(text)
        except ValueError as error:
            raise ValueError(f"{field}[{i}]: {error}") from error


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the file. What `masked` names never shows in a repr, so neither in a traceback."""

    masked: ClassVar[frozenset[str]] = frozenset()

    @override
    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.shown().items())
        return f"{type(self).__name__}({', '.join(shown)})"

    def shown(self) -> dict[str, object]:
        """Each setting by its name, masked where it is secret."""
        return {name: self._shown(name) for name in self.__struct_fields__}

    def _shown(self, name: str) -> object:
        value = getattr(self, name)
        return MASK if value and name in self.masked else value
