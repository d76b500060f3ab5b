"""A check in words and lines, as `heartfly checks …` prints it: what it is, why it is so, how its job pings it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

import rich_click as click

from heartfly.cli.gates import coverage_words, gate_words
from heartfly.cli.output import seconds, status, when
from heartfly.core.tolerance import Tolerance

_FIELDS_OF_CRON = 5


def facts_of(check: Any, coverage: Any, *, needs: Sequence[str]) -> list[tuple[str, Any]]:
    """`needs`: what it needs, by name."""
    facts = [
        ("name", check["name"]),
        ("slug", check["slug"]),
        ("id", check["id"]),
        ("status", status(check)),
        ("since", when(check["status_since"])),
        ("schedule", schedule_of(check)),
        ("grace", seconds(check["grace"])),
        ("max run", seconds(check["max_run"]) if check["max_run"] is not None else "the grace"),
        ("last ping", when(check["last_ping_at"])),
        ("expected", when(check["next_expected_at"])),
        ("goes down", when(check["goes_down_at"])),
        ("tags", ", ".join(check["tags"]) or "-"),
        ("channels", str(len(check["channels"]))),
        ("gates", "\n".join(gate_words(gate) for gate in check["gates"]) or "-"),
        ("tolerance", tolerance_words(check["tolerance"])),
        ("bounds", "\n".join(check["bounds"]) or "-"),
        ("aimed at", slo_words(check["slo"])),
    ]
    if check["host"] or check["heard_host"]:
        facts.append(("host", check["host"] or f"{check['heard_host']}, as its pings say"))
    if needs:
        facts.append(("needs", ", ".join(needs)))
    if coverage["spans"] or coverage["gaps"]:
        facts.append(("coverage", coverage_words(coverage)))
    if check["first_ping_by"]:
        facts.append(("first ping by", check["first_ping_by"]))
    if check["schedule_error"]:
        facts.append(("schedule error", check["schedule_error"]))
    return facts + ([("description", check["description"])] if check["description"] else [])


def reasons_of(told: Any) -> list[tuple[str, str]]:
    slot, schedule = told["slot"], told["schedule"]
    facts = [
        ("schedule", schedule_of(told)),
        ("dialect", schedule["dialect"] if schedule["kind"] == "cron" else "-"),
        ("grace", seconds(told["grace"])),
        ("max run", seconds(told["max_run"]) if told["max_run"] is not None else "the grace"),
        ("slot", f"{slot['expected_at']} to {slot['closes_at']}" if slot else "-"),
        ("judged at", told["goes_down_at"] or "-"),
        ("goes down", told["alarm_at"] or "-"),
        ("tolerance", tolerance_words(told["tolerance"])),
        ("tolerated", told["tolerated"] or "-"),
        ("bounds", "\n".join(told["bounds"]) or "-"),
    ]
    facts += [("run", f"{run['started_at']}, hung at {run['ends_by']}") for run in told["runs"]]
    facts += [("could not hear", f"{one['from_at']} to {one['to_at']} ({one['touches']})") for one in told["blind"]]
    facts.append(("unverified", f"{told['unverified_in_row']} in a row"))
    facts += [("gate", gate_words(gate, broken=gate in told["broken_gates"])) for gate in told["gates"]]
    for name, signal in (("last end", told["last_end"]), ("newest ping", told["newest_ping"])):
        facts.append((name, f"{signal['kind']} at {signal['at']}" if signal else "-"))
    return facts + ([("incident", told["incident"])] if told["incident"] else [])


def tolerance_words(asked: Any) -> str:
    return "-" if asked is None else Tolerance(**asked).text


_PART = re.compile(r"(\d{1,9}) in a row|(\d{1,3})% of (?:the last )?(\d{1,9})|up after (\d{1,9})", re.ASCII)


def tolerance_asked(text: str) -> dict[str, int] | None:
    """`3 in a row, 50% of 10, up after 2`, or parts of it, as the API takes it; `nothing`: none."""
    if text.strip() == "nothing":
        return None
    asked: dict[str, int] = {}
    for part in re.split(r",\s*|\s+or\s+", text.strip().removeprefix("after ")):
        found = _PART.fullmatch(part.strip())
        if found is None:
            looks = "3 in a row, 50% of 10, up after 2, or several of them with commas; or nothing"
            raise click.BadParameter(f"{part!r} must look like {looks}", param_hint="--tolerate")
        names = ("failures", "share", "last", "recover")
        asked |= {name: int(number) for name, number in zip(names, found.groups(), strict=True) if number}
    return asked


def slo_words(asked: Any) -> str:
    if asked is None:
        return "-"
    parts = [f"{word} {asked[name]}%" for word, name in (("on time", "on_time"), ("success", "success")) if asked[name]]
    return f"{', '.join(parts)}, {asked['days']} days"


_AIM = re.compile(r"(?P<word>on time|success) (?P<percent>[0-9.]+) ?%|(?P<days>[0-9]{1,3}) days?", re.ASCII)


def slo_asked(text: str) -> dict[str, Any] | None:
    """`on time 99%, success 98%, 30 days`, or parts of it, as the API takes it; `nothing`: none."""
    if text.strip() == "nothing":
        return None
    asked: dict[str, Any] = {}
    for part in re.split(r",\s*", text.strip()):
        found = _AIM.fullmatch(part.strip())
        if found is None:
            looks = "on time 99%, success 98%, 30 days, or several of them with commas; or nothing"
            raise click.BadParameter(f"{part!r} must look like {looks}", param_hint="--slo")
        if found["days"]:
            asked["days"] = int(found["days"])
        else:
            asked[found["word"].replace(" ", "_")] = found["percent"]
    return asked


def outcome_of(run: Any) -> str:
    """How a run went, and what of it nobody was told."""
    reason = f" ({run['reason'].replace('_', ' ')})" if run["reason"] in _SHOWN_REASONS else ""
    tolerated = f", {run['tolerated']} tolerated" if run["tolerated"] else ""
    return f"{run['outcome'] or 'running'}{reason}{tolerated}"


_SHOWN_REASONS = frozenset({"too_fast", "too_soon", "too_often", "too_early", "too_few", "not_started"})


def schedule_of(check: Any) -> str:
    text: str = check["schedule_text"]
    return text[:1].lower() + text[1:] if text.startswith(("At ", "Every ")) else text


def how_to_ping(check: Any) -> str:
    """The line to paste. A key that may only read does not know the address."""
    if check["job"] is not None:
        return f"Heartfly's own job pings it from within; `heartfly jobs run {check['job']}` runs that now."
    if check["ping_url"] is None:
        return "This key may only read, so it does not see the address to ping."
    curl = f"curl -fsS -m 10 --retry 5 -o /dev/null {shlex.quote(check['ping_url'])}"
    schedule = check["schedule"]
    expression = schedule["expression"] or ""
    is_crontab = schedule["kind"] == "cron" and len(expression.split()) == _FIELDS_OF_CRON
    if is_crontab or (schedule["kind"] == "cron" and expression.startswith("@")):
        return f"In its crontab:\n\n    {expression} /path/to/job && {curl}"
    return f"After its job:\n\n    /path/to/job && {curl}"
