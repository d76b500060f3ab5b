"""What a digest says: how many checks were up, then what was not well, the worst first. Short when all was.

Days are named as those of the project's zone; instants are UTC, as in every message. Layout is message.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from heartfly.core.alerts import Alert, DigestFacts, DownInDigest, LevelInDigest
from heartfly.core.slo import Counted, levels, percent
from heartfly.core.words import Cadence
from heartfly.notify import words
from heartfly.notify.sentences import Tone, project, shown
from heartfly.notify.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that was or is not well. `page`: under the project's, with the id behind it."""

    label: str
    name: str
    text: str
    page: str
    uuid: str
    tone: Tone


def label(digest: DigestFacts) -> str:
    return f"{digest.cadence.value.upper()} {'REPORT' if digest.cadence is Cadence.MONTHLY else 'DIGEST'}"


def tone(digest: DigestFacts) -> Tone:
    if digest.n_down_ever or digest.n_not_kept:
        return Tone.DOWN
    if digest.channels or digest.n_degraded or digest.n_late or digest.n_never or not digest.n_watched:
        return Tone.DEGRADED
    return Tone.NOTICE if digest.blind_s or digest.n_unverified else Tone.UP


def title(alert: Alert, digest: DigestFacts) -> str:
    headline = _headline(digest)
    return f"{label(digest)}: {project(alert)}, {_days(alert, digest)}: {headline[0].lower()}{headline[1:]}"


def sentence(alert: Alert, digest: DigestFacts) -> str:
    if not digest.n_watched:
        now = f", but {_are(digest.n_down_now)} down now" if digest.n_down_now else ""
        return f"{_headline(digest)}{now}."
    days = _days(alert, digest)
    when = f"on {days}" if digest.first_day == digest.last_day else f"in {_SPAN[digest.cadence]}{days}"
    if not digest.n_down_now:
        return f"{_headline(digest)} {when}."
    joint = "and" if digest.n_down else "but"
    return f"{_headline(digest)} {when}, {joint} {_are(digest.n_down_now)} down now."


_SPAN = {Cadence.DAILY: "the day of ", Cadence.WEEKLY: "the week of ", Cadence.MONTHLY: ""}
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def why(digest: DigestFacts) -> tuple[str, ...]:
    return tuple(text for text in (_aimed(digest), _besides(digest), _blind(digest), _unheard(digest)) if text)


def facts(alert: Alert, digest: DigestFacts) -> tuple[tuple[str, str], ...]:
    days = "Day" if digest.first_day == digest.last_day else "Days"
    called = "Month" if digest.cadence is Cadence.MONTHLY else days
    rows = [(called, f"{_days(alert, digest)} ({digest.zone})")]
    n_new = digest.n_checks - digest.n_watched - digest.n_paused
    checks = [(digest.n_watched, "watched"), (digest.n_paused, "paused"), (n_new, "not watched yet")]
    rows.append(("Checks", _counts(checks, none="none")))
    runs = [
        (digest.n_ok, "ok"),
        (digest.n_failed, "failed"),
        (digest.n_missed, "missed"),
        (digest.n_unverified, "unverified"),
    ]
    rows.append(("Runs", _counts(runs, none="none")))
    if digest.cadence is Cadence.MONTHLY:
        rows += _shares(digest)
    if digest.blind_s:
        rows.append(("Could not hear", words.duration(timedelta(seconds=digest.blind_s))))
    rows.append(("Project", project(alert)))
    return tuple(rows)


def items(alert: Alert, digest: DigestFacts) -> list[Item]:
    """As far as they are named; `n_items` counts them all."""
    return list(_items(alert, digest))


def n_items(digest: DigestFacts) -> int:
    return (
        digest.n_levels + digest.n_down_ever + len(digest.channels) + digest.n_degraded + digest.n_late + digest.n_never
    )


def _headline(digest: DigestFacts) -> str:
    n = digest.n_watched
    if not digest.n_checks:
        return "There were no checks yet" if digest.n_down_now else "There are no checks yet"
    if not n:
        return "No check was watched" if digest.n_down_now else "No check was watched: each is new or paused"
    if digest.n_down:
        return f"{digest.n_down:,} of {words.count(n, 'check')} {_was(digest.n_down)} down"
    return "The only check was up" if n == 1 else f"All {n:,} checks were up"


def _aimed(digest: DigestFacts) -> str:
    if not digest.n_aimed:
        return ""
    kept = digest.n_aimed - digest.n_not_kept
    has = "has a target, and" if digest.n_aimed == 1 else "have a target, and"
    return f"{words.count(digest.n_aimed, 'check')} {has} {kept:,} of them kept it."


def _shares(digest: DigestFacts) -> list[tuple[str, str]]:
    came = digest.n_ok + digest.n_failed
    all_of = levels(Counted(n_ok=digest.n_ok, n_failed=digest.n_failed, n_missed=digest.n_missed), None)
    if not came + digest.n_missed:
        return []
    return [("In time", percent(all_of.on_time.share)), ("Went well", percent(all_of.success.share))]


def _besides(digest: DigestFacts) -> str:
    parts = []
    if digest.n_degraded:
        parts.append(f"{digest.n_degraded:,} {_was(digest.n_degraded)} degraded for a while")
    if digest.n_late:
        parts.append(f"{_are(digest.n_late)} late now")
    if digest.n_never:
        parts.append(f"{digest.n_never:,} {'has' if digest.n_never == 1 else 'have'} never pinged")
    return f"{', '.join(parts)}." if parts else ""


def _blind(digest: DigestFacts) -> str:
    if not digest.blind_s and not digest.n_unverified:
        return ""
    runs = f"{words.count(digest.n_unverified, 'run')} {_was(digest.n_unverified)} unverified"
    if not digest.blind_s:
        return f"{runs}, as Heartfly itself could not hear."
    deaf = f"Heartfly itself could not hear for {words.duration(timedelta(seconds=digest.blind_s))}"
    return f"{deaf}; {runs if digest.n_unverified else 'no run is unverified for it'}."


def _unheard(digest: DigestFacts) -> str:
    n = len(digest.channels)
    if not n:
        return ""
    them = "channel does not deliver: whoever reads it" if n == 1 else "channels do not deliver: whoever reads them"
    return f"{n} {them} does not hear of alarms."


def _items(alert: Alert, digest: DigestFacts) -> Iterator[Item]:
    # What is down now may wait for its reader; all else is past.
    yield from (_down(alert, one) for one in digest.down if one.since is not None)
    for level in digest.levels:
        yield Item(
            label=_KEPT[level.is_met],
            name=shown(level.check_name) or level.check_uuid,
            text=_level_text(level, deaf_s=digest.blind_s),
            page="checks",
            uuid=level.check_uuid,
            tone=Tone.DOWN if level.is_met is False else Tone.NOTICE,
        )
    yield from (_down(alert, one) for one in digest.down if one.since is None)
    for channel in digest.channels:
        error = one_line(channel.error, limit=300).rstrip(".")
        yield Item(
            label="FAILING",
            name=f"{shown(channel.name) or channel.uuid} ({channel.kind})",
            text=f"does not deliver{': ' + error if error else ''}",
            page="channels",
            uuid=channel.uuid,
            tone=Tone.DEGRADED,
        )
    for kind, found, text in (
        ("DEGRADED", digest.degraded, "broke a rule that only warns"),
        ("LATE", digest.late, "since {at}"),
        ("NEW", digest.never, "has never pinged since it was made, {at}"),
    ):
        for it in found:
            yield Item(
                label=kind,
                name=shown(it.check_name) or it.check_uuid,
                text=text.format(at=words.instant(it.at, seen_at=alert.decided_at)),
                page="checks",
                uuid=it.check_uuid,
                tone=Tone.NOTICE if kind == "NEW" else Tone.DEGRADED,
            )


_KEPT = {True: "TARGET KEPT", False: "TARGET NOT KEPT", None: "RUNS"}


def _down(alert: Alert, one: DownInDigest) -> Item:
    is_down = one.since is not None
    return Item(
        label="DOWN" if is_down else "WAS DOWN",
        name=shown(one.check_name) or one.check_uuid,
        text=_is_down(alert, one.since, one) if one.since is not None else _was_down(one),
        page="checks",
        uuid=one.check_uuid,
        tone=Tone.DOWN if is_down else Tone.NOTICE,
    )


def _level_text(level: LevelInDigest, *, deaf_s: int) -> str:
    """`deaf_s`: so long Heartfly could not hear in all, which is said once and not of each check."""
    parts = [f"in time {level.on_time}" if level.on_time else "", f"went well {level.success}" if level.success else ""]
    if level.blind_s and level.blind_s != deaf_s:
        parts.append(f"not heard for {words.rough_duration(timedelta(seconds=level.blind_s))}")
    return "; ".join(part for part in parts if part) or "nothing was due"


def _is_down(alert: Alert, since: datetime, one: DownInDigest) -> str:
    ago = words.rough_duration(alert.decided_at - since)
    acked = f"acknowledged by {shown(one.acked_by)}" if one.acked_by else "not acknowledged"
    return f"since {words.instant(since, seen_at=alert.decided_at)} ({ago}), {acked}"


def _was_down(one: DownInDigest) -> str:
    length = f"for {words.rough_duration(timedelta(seconds=one.down_s))}" if one.down_s else "for less than a second"
    return f"{length}, in {words.count(one.n_incidents, 'incident')}" if one.n_incidents > 1 else length


def _days(alert: Alert, digest: DigestFacts) -> str:
    if digest.cadence is Cadence.MONTHLY:
        return f"{_MONTHS[digest.first_day.month - 1]} {digest.first_day.year}"
    first = words.day(_noon(digest.first_day), seen_at=alert.decided_at)
    if digest.first_day == digest.last_day:
        return first
    return f"{first} – {words.day(_noon(digest.last_day), seen_at=alert.decided_at)}"


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)


def _counts(parts: Iterable[tuple[int, str]], *, none: str) -> str:
    return ", ".join(f"{n:,} {what}" for n, what in parts if n > 0) or none


def _was(n: int) -> str:
    return "was" if n == 1 else "were"


def _are(n: int) -> str:
    return f"{n:,} {'is' if n == 1 else 'are'}"
