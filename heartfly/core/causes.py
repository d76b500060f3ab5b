"""Which one fact explains that several checks are down, and what a people's channel hears of that.

A check's facts are its host and the checks that it needs. A cause is a host of which nothing goes well any more, or a
check that others need. Each member keeps an incident of its own; the cause only says that they belong together: none
is dropped, and the first alert is never put off. Who asks, and what is written, is decided in incidents/ and notify/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from heartfly.core.silence import Hold, Part

QUIET = timedelta(minutes=2)
"""When no further member has come for so long, those that were not told are told as one message."""
MOST_GATHERED = timedelta(minutes=10)
"""After the first alert, at the latest."""
BACK = timedelta(minutes=15)
"""So long after one of them is up again, at the latest, it is told who is, also if others stay down."""
LOOK = timedelta(hours=1)
"""So often it is looked whether the check that an alert waits for is still down, should nothing have told it."""
IN_HAND = timedelta(seconds=1)
"""So soon, if somebody else had that check in hand just then: it may be up by now, and nobody is told of it."""
MOST_NEEDS = 20
LONGEST_HOST = 200


class Explains(StrEnum):
    HOST = "host"
    UPSTREAM = "upstream"


# --- what explains what ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """A check that is down. `began_at`: when the run was expected that did not come, or when it failed.

    `needs`: the checks that it needs, and `needed_by` those that need it, in any order. `cause`: what it is a member of
    already.
    """

    check: int
    at: datetime
    began_at: datetime
    host: str = ""
    needs: tuple[int, ...] = ()
    needed_by: tuple[int, ...] = ()
    cause: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLife:
    """`well_at`: the last success of a job on it; None: none is known. `cause`: the open one of this host.

    `back_at`: the first success on it since that cause began.
    """

    well_at: datetime | None = None
    cause: int | None = None
    back_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """`members` belong to an open cause, by its number."""

    cause: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """A cause begins. `root`: the check that others need; None: it is a host."""

    what: Explains
    members: tuple[int, ...]
    host: str = ""
    root: int | None = None


def explained(one: Down, down: Mapping[int, Down], hosts: Mapping[str, HostLife]) -> Join | Begin | None:
    """Which cause this check, which goes down just now, is a member of. `down`: all that may have to do with it.

    What is known already goes first: the cause of a check that it needs, then that of its host. A cause of its own is
    found by as many members as a fact explains: two of one host, or one check that another needs.
    """
    needed = [down[check] for check in sorted(one.needs) if check in down]
    for other in needed:
        if other.cause is not None:
            return Join(other.cause, (one.check,))
    life = hosts.get(one.host, HostLife()) if one.host else HostLife()
    if life.cause is not None and (life.back_at is None or one.began_at <= life.back_at):
        return Join(life.cause, (one.check,))
    if one.host and life.cause is None and (others := _silent_with(one, down, life)):
        return Begin(what=Explains.HOST, members=(*others, one.check), host=one.host)
    if needed:
        root = needed[0].check
        return Begin(what=Explains.UPSTREAM, members=(root, one.check), root=root)
    waiting = [check for check in sorted(one.needed_by) if check in down and down[check].cause is None]
    if waiting:
        return Begin(what=Explains.UPSTREAM, members=(*waiting, one.check), root=one.check)
    return None


def _silent_with(one: Down, down: Mapping[int, Down], life: HostLife) -> list[int]:
    """Others of its host that went down since anything went well there."""

    def is_silent(other: Down) -> bool:
        return life.well_at is None or other.at > life.well_at

    if not is_silent(one):
        return []
    return sorted(
        other.check
        for other in down.values()
        if other.check != one.check and other.host == one.host and other.cause is None and is_silent(other)
    )


def a_cycle(check: int, needs: Sequence[int], known: Mapping[int, Sequence[int]]) -> list[int] | None:
    """The way from a check to itself, if it needed these; None: there is none. `known`: what others need."""
    ways: list[list[int]] = [[check, needed] for needed in needs]
    seen: set[int] = set()
    while ways:
        way = ways.pop()
        if way[-1] == check:
            return way
        if way[-1] in seen:
            continue
        seen.add(way[-1])
        ways += [[*way, needed] for needed in known.get(way[-1], ())]
    return None


# --- who waits for whom ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A check that another needs, as it is now. `back_at`: when it was up again the last time that it was down.

    `is_in_hand`: another transaction may be changing it, and knows nothing of who waits for it.
    """

    id: int
    name: str
    is_down: bool
    back_at: datetime | None = None
    is_in_hand: bool = False


def waits_for(needed: Sequence[Needed], grace: timedelta, *, at: datetime) -> Hold | None:
    """Why, and until when, nobody hears that a check is down: what it needs is down itself, or came back just now.

    It is judged when that has been up for as long as its own grace.
    """
    down = [one for one in needed if one.is_down]
    if down:
        look = IN_HAND if down[0].is_in_hand else LOOK
        return Hold(at + look, f"waits for {_named(down)}, which {'is' if len(down) == 1 else 'are'} down", down[0].id)
    back = [(one.back_at + grace, one) for one in needed if one.back_at is not None and at < one.back_at + grace]
    if not back:
        return None
    until, last = max(back, key=lambda each: each[0])
    return Hold(until, f"it had its own grace since “{last.name}”, which it needs, came back", last.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """What ties a check to others, for people. `heard`: its host is as its pings say.

    `cause`: what explains that it is down, if anything does; `is_root`: it is itself what the others need.
    """

    host: str = ""
    heard: bool = False
    needs: tuple[Needed, ...] = ()
    is_down: bool = False
    cause: Explains | None = None
    cause_name: str = ""
    is_root: bool = False
    n_members: int = 0


NO_TIES = Ties()


def sentences(ties: Ties) -> Iterator[str]:
    if ties.cause is not None:
        yield _with_others(ties)
    down = [one for one in ties.needs if one.is_down]
    if down:
        until = "nobody is told of it until that is up again and its own grace has passed"
        needs = f"It {'waits for' if ties.is_down else 'needs'} {_named(down)}"
        yield f"{needs}, which {'is' if len(down) == 1 else 'are'} down: {until}."
    elif ties.needs:
        yield f"It needs {_named(ties.needs)}: while that is down, nobody is told of this one."
    if ties.host:
        yield f"It runs on host {ties.host}{', as its pings say' if ties.heard else ''}."


def _with_others(ties: Ties) -> str:
    if ties.is_root:
        n = ties.n_members - 1
        return f"{n} check{' that needs' if n == 1 else 's that need'} it went down with it."
    is_host = ties.cause is Explains.HOST
    what = f"host {ties.cause_name}" if is_host else f"“{ties.cause_name}”, which it needs"
    n = max(0, ties.n_members - (1 if is_host else 2))
    others = f"as did {n} other check{'s' * (n != 1)}" if n else ""
    return f"It went down with {what}{', ' * bool(others)}{others}."


def _named(needed: Sequence[Needed]) -> str:
    first, more = f"“{needed[0].name}”", len(needed) - 1
    return first if not more else f"{first} and {more} more"


# --- what a people's channel hears of it -------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a channel knows of a cause since its first member was told there.

    `n_left`: members told as one, and `n_new` those of them that no message has told of yet. `told_at`: when one told
    who is down, and `back_at` when one told that some are up again, as the last thing. `n_told`: messages about it as
    a whole.
    """

    since: datetime
    n_left: int = 0
    due_at: datetime | None = None
    told_at: datetime | None = None
    n_new: int = 0
    back_at: datetime | None = None
    n_told: int = 0

    @property
    def tells_who_is_back(self) -> bool:
        """What is due tells of nobody new that is down."""
        return not self.n_new

    def not_due(self) -> Telling:
        return replace(self, due_at=None)

    def told(self, at: datetime, *, some_are_up: bool) -> Telling:
        """After the message that was due."""
        told_at = self.told_at if self.tells_who_is_back else at
        back_at = at if some_are_up else None
        return replace(self, due_at=None, n_new=0, n_told=self.n_told + 1, told_at=told_at, back_at=back_at)


@dataclass(frozen=True, slots=True)
class Alone:
    """It is told as if there were no cause. `telling`: what is known from then on; None: as before, nothing."""

    telling: Telling | None = None


@dataclass(frozen=True, slots=True)
class AsOne:
    """It is told with the others, and this says so."""

    why: str
    telling: Telling


def on_channel(
    part: Part,
    cause: str,
    known: Telling | None,
    *,
    is_root: bool,
    at: datetime,
    waited_since: datetime | None = None,
) -> Alone | AsOne:
    """What becomes of the alert of a member that would be told there now. `cause`: in words, such as `host db-1`.

    The first is told at once, as is each of the check that others need. The others are told as one message soon after.
    Those that are up again are told as one message when the last of them is, or after a while if others stay down; who
    goes down after that is the first anew, as people take it for up. `waited_since`: from when on it waited for what it
    needs, which is up by now: if that was after their message, it has failed by itself, and no message has named it.
    """
    if is_root or part is Part.FACT:
        return Alone(known)
    if part is Part.END:
        if known is None or not known.n_left:
            return Alone()
        return AsOne(f"told with others of {cause} that are up again", replace(known, due_at=known.due_at or at + BACK))
    if known is None:
        return Alone(Telling(since=at))
    if known.back_at is not None:
        return Alone(replace(known, since=at, told_at=None, back_at=None))
    if known.told_at is not None:
        if waited_since is not None and waited_since > known.told_at:
            return Alone(known)
        told = replace(known, n_left=known.n_left + 1)
        return AsOne(f"{cause} was told of as one before; its incident names all that belong to it", told)
    due_at = max(min(known.since + MOST_GATHERED, at + QUIET), at)
    left = replace(known, n_left=known.n_left + 1, n_new=known.n_new + 1, due_at=due_at)
    return AsOne(f"told with the others of {cause}", left)
