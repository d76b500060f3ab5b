"""How commands show things: tables and short words for people, JSON as the API gives it for machines."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import rich_click as click
from typing_extensions import override

from heartfly.clock import SystemClock
from heartfly.core.spans import span

if TYPE_CHECKING:
    from rich.text import Text

_COLOURS = {"up": "green", "degraded": "yellow", "down": "bold red", "late": "yellow", "paused": "dim", "new": "dim"}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PARTS = re.compile(r"(\d{1,12})\s*(s|m|h|d|w)", re.IGNORECASE | re.ASCII)


class Duration(click.ParamType[int, int]):
    """`90s`, `10m`, `2h`, `1d`, `1h30m`, or plain seconds; as seconds."""

    name = "duration"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if text.isascii() and text.isdigit() and len(text) <= 12:
            return int(text)
        parts = _PARTS.findall(text)
        if not parts or _PARTS.sub("", text).strip():
            self.fail(f"{value!r} is not a duration such as 90s, 10m, 2h or 1d", param, ctx)
        return sum(int(number) * _UNITS[unit.lower()] for number, unit in parts)


DURATION = Duration()


MOST = click.option(
    "--limit", "most", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print what the API says, for machines.")


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say(sentence: str, value: Any, *, as_json: bool) -> None:
    """The sentence to people; to machines what it is about."""
    print_json(value) if as_json else click.echo(sentence)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """On a terminal fitted to its width; into a pipe whole, however wide."""
    from rich.console import Console  # noqa: PLC0415 - what prints JSON, or a sentence, waits for none of it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in row))
    console.print(table)


def plain(text: str) -> str:
    """What a job or a stranger named must not steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def print_facts(facts: Sequence[tuple[str, str | Text]]) -> None:
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        shown = value if isinstance(value, str) else value.plain
        first, *more = _plain_lines(shown)
        click.echo(f"{name:<{width}}  {first}")
        for line in more:
            click.echo(f"{'':<{width}}  {line}")


def _plain_lines(text: str) -> list[str]:
    return [plain(line) for line in text.splitlines()] or [""]


def status(check: Any) -> Text:
    """The status, with what is shown beside it."""
    from rich.text import Text  # noqa: PLC0415 - see print_table

    beside = [word for word in ("late", "running") if check[word]]
    if tolerated := check.get("tolerated"):
        beside.append(f"failing, {tolerated} tolerated")
    word = "late" if check["late"] else check["status"]
    return Text(" ".join([check["status"], *(f"({one})" for one in beside)]), style=_COLOURS.get(word, ""))


def when(instant: str | None, *, now: datetime | None = None) -> str:
    """How long ago, or in how long; `-` for never."""
    if instant is None:
        return "-"
    now = now or SystemClock().now()
    passed = now - datetime.fromisoformat(instant).astimezone(UTC)
    if abs(passed) < timedelta(seconds=1):
        return "now"
    return f"{span(passed)} ago" if passed > timedelta(0) else f"in {span(-passed)}"


def since_instant(text: str) -> str:
    """A span back from now, or an instant or a day as it stands: the server knows which it cannot read."""
    return _instant(text, -1)


def instant_ahead(text: str) -> str:
    """The same, of a span from now on."""
    return _instant(text, 1)


def _instant(text: str, sign: int) -> str:
    if text[:4].isdigit() and ("T" in text or text[4:5] == "-"):
        return text
    try:
        span_s = DURATION.convert(text, None, None)
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message}, and no instant such as 2026-03-02T01:30:00Z") from None
    try:
        return (SystemClock().now() + sign * timedelta(seconds=span_s)).isoformat()
    except OverflowError:
        raise click.BadParameter(f"{text} is longer than time is.") from None


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g} s" if 0 < value < 10 else span(timedelta(seconds=value))


def counted(n: int, what: str, *, grouped: bool = False) -> str:
    """`1 check`, `2 checks`; `grouped`: `2,000 checks`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}" if grouped else f"{n} {what}{'' if n == 1 else 's'}"
