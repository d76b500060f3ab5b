"""Templates to pages. Everything that is put into one is escaped, unless a macro of ours made it.

A page is made in a thread: a long list takes tens of milliseconds, which no ping shall wait for.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from heartfly import __version__
from heartfly.core.text import shown
from heartfly.web.carried import with_zone
from heartfly.web.described import described
from heartfly.web.files import Files

WORTH_PACKING = 1_000

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Renderer:
    def __init__(self, files: Files, root: str) -> None:
        self._root = root
        self._environment = Environment(
            loader=PackageLoader("heartfly.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {"file": files.url, "root": root, "version": __version__}
        self._environment.filters |= {"segment": segment, "shown": shown, "is_uuid": is_uuid, "counted": counted}
        self._environment.filters["described"] = described

    async def page(
        self, template: str, context: Mapping[str, Any], *, pack: bool, zone: str = ""
    ) -> tuple[bytes, bool]:
        """The page, and whether it is packed by gzip: if `pack`, and worth it. `zone`: what its links carry on."""
        return await asyncio.to_thread(self._page, template, context, pack, zone)

    def _page(self, template: str, context: Mapping[str, Any], pack: bool, zone: str) -> tuple[bytes, bool]:  # noqa: FBT001 - by asyncio
        made = with_zone(self.now(template, context), self._root, zone)
        if pack and len(made) > WORTH_PACKING:
            return gzip.compress(made, 5), True
        return made, False

    async def rows(self, lines: Sequence[Any], context: Mapping[str, Any]) -> list[str]:
        """Each as the list of checks shows it."""
        return await asyncio.to_thread(self._rows, lines, context)

    def _rows(self, lines: Sequence[Any], context: Mapping[str, Any]) -> list[str]:
        template = self._environment.get_template("live_row.html")
        return [template.render(context, line=line).strip() for line in lines]

    def now(self, template: str, context: Mapping[str, Any]) -> bytes:
        return self._environment.get_template(template).render(context).encode(errors="replace")


def segment(text: str) -> str:
    """A part of a path of ours."""
    return quote(text, safe="")


def counted(n: int, what: str) -> str:
    """`1 call`, `2,000 calls`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def is_uuid(text: str) -> bool:
    """Whether it is an id of ours, and can have a page."""
    return _UUID.fullmatch(text) is not None
