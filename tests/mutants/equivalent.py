"""Changes that nobody can notice, as the changed code does the same: each with the reason, for who doubts it.

Told apart by the function and the lines that go and come, as mutmut's numbers move with the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    function: str
    """As mutmut names it."""
    old: str
    new: str
    """Lines without their indentation. Of `new` none: the line goes."""
    why: str

    @property
    def file(self) -> str:
        return f"{self.function.rpartition('.')[0].replace('.', '/')}.py"


def _of_one_length(function: str, line: str) -> Iterator[Equivalent]:
    """A zip that checks that nothing is lost, of what was made of one sequence."""
    for new in (", strict=None)", ", strict=False)", ", )"):
        yield Equivalent(
            function=function,
            old=line,
            new=line.replace(", strict=True)", new),
            why="both were made of the same rows, so they are of one length",
        )


def _of_a_generation(function: str, *lines: str) -> Iterator[Equivalent]:
    """A join of rows and their window."""
    for line in lines:
        yield Equivalent(
            function=function,
            old=line,
            new="",
            why="the number of a generation is given once, to one window of one project",
        )


EQUIVALENT = (
    Equivalent(
        function="heartfly.net.addresses.x_canonical",
        old="carried = _carried_v4(address) if isinstance(address, IPv6Address) else None",
        new="carried = _carried_v4(address) if (isinstance(address, IPv6Address)) or True else None",
        why="no IPv4 address is in a network of IPv6, so it carries none; the question is mypy's",
    ),
    Equivalent(
        function="heartfly.net.connect.xǁConnectorǁ_connect",
        old="sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)",
        new="sock = socket.socket(family, socket.SOCK_STREAM, )",
        why="TCP is what these families have for a stream",
    ),
    Equivalent(
        function="heartfly.net.connect.xǁConnectorǁdial",
        old="trouble: Exception | None = None",
        new='trouble: Exception | None = ""',
        why="no list of allowed addresses is empty, so the first failure replaces it",
    ),
    Equivalent(
        function="heartfly.net.resolver.x_system_lookup",
        old="found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)",
        new="found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)",
        why="TCP has no other type than a stream",
    ),
    Equivalent(
        function="heartfly.usage.fold.x_day_of_hours",
        old="if first >= last:",
        new="if first > last:",
        why="with no whole hour between them the two parts are read one after the other, and put together",
    ),
    Equivalent(
        function="heartfly.usage.fold.xǁ_Tallyǁ__init__",
        old="self.asks_when = latest or len(self._whole) < len(parts)",
        new="self.asks_when = latest or len(self._whole) <= len(parts)",
        why="times are read that no meter looks at, which takes longer and comes to the same",
    ),
    Equivalent(
        function="heartfly.usage.rollup_rows.x_merge_rows",
        old="place = None if latest_at is None else (instant(latest_at), latest_id)",
        new="place = None if (latest_at is None) and False else (instant(latest_at), latest_id)",
        why="a row without the instant has no latest value either, so nobody looks at its place",
    ),
    Equivalent(
        function="heartfly.usage.fold.x_fold_span",
        old="instant = as_read(connection, events.c.at) if tally.asks_when else None",
        new="instant = as_read(connection, events.c.at) if (tally.asks_when) or True else None",
        why="times are read that no meter looks at, which takes longer and comes to the same",
    ),
    Equivalent(
        function="heartfly.usage.reconcile.x__compare",
        old='if int.from_bytes(window.ids_sum, "big") != found.ids_sum:',
        new="if int.from_bytes(window.ids_sum, ) != found.ids_sum:",
        why="Python's own order is the same",
    ),
    Equivalent(
        function="heartfly.usage.rollup_rows.x_place",
        old="sa.type_coerce(table.c.start_at, NullType()),",
        new="sa.type_coerce(table.c.start_at, None),",
        why="None is the type without a conversion, as NullType is",
    ),
    *_of_one_length(
        "heartfly.usage.fold.xǁ_Tallyǁ_take", "ats, numbers, _, subjects, _, properties = zip(*rows, strict=True)"
    ),
    *_of_one_length(
        "heartfly.usage.fold.xǁ_Tallyǁ_take", "places = list(zip(ats, numbers, strict=True)) if self.asks_when else ()"
    ),
    *_of_one_length("heartfly.usage.fold.xǁ_Tallyǁ_take", "keys = list(zip(whose, told.groups, strict=True))"),
    *_of_one_length("heartfly.usage.reconcile.xǁ_Countǁ_add", "for subject_id, one in zip(whose, told, strict=True):"),
    *_of_one_length(
        "heartfly.usage.reconcile.xǁ_Countǁ_add",
        "self.uniques[version_id].add(zip(whose, map(_held, told), strict=True))",
    ),
    *_of_a_generation(
        "heartfly.usage.reconcile.x__rows",
        "windows.c.pid == rollups.c.pid,",
        "windows.c.tier == rollups.c.tier,",
    ),
    *_of_a_generation(
        "heartfly.usage.fold.x_is_whole",
        "windows.c.pid == table.c.pid,",
        "windows.c.tier == table.c.tier,",
    ),
    Equivalent(
        function="heartfly.core.check.x__retracted",
        old="return _armed(step, signal.at)",
        new="return _armed(step, None)",
        why="the check stays down, and of one that is down nothing is armed: the instant is not looked at",
    ),
)


def why_equivalent(name: str, diff: str, known: Sequence[Equivalent] = EQUIVALENT) -> str | None:
    """The reason why this change, by mutmut's name and as it shows it, changes nothing; None: it changes something."""
    function, lines = name.partition("__mutmut_")[0], diff.splitlines()
    old = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    new = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    told = (function, old, new)
    return next((one.why for one in known if (one.function, [one.old], [one.new] if one.new else []) == told), None)
