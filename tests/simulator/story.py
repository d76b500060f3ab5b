"""The story of one check around the moment at which it went wrong: what was sent, heard, deaf, decided."""

from __future__ import annotations

from heartfly.db.types import instant
from tests.simulator.alarms import items_of
from tests.simulator.ground_truth import UNSENT, Edict, Sent
from tests.simulator.history import History
from tests.simulator.oracle import Finding


def tell(history: History, finding: Finding, *, before: int = 12, after: int = 4) -> str:
    """Its events in the order of their steps, from a few before the wrong one to a few after."""
    job = history.jobs[finding.job]
    events: list[tuple[int, int, str]] = []
    items = items_of(job)
    for item in items:
        if isinstance(item, Edict):
            events.append((item.step, item.step, f"{_at(item.wall)}  {item.what} by a person"))
        elif item.arrived != UNSENT:
            events.append((item.arrived, item.committed, f"{_at(item.wall)}  {_signal(item)}"))
    for flip in history.flips[finding.job]:
        text = f"{_at(flip.at)}  FLIP {flip.flip_no} {flip.from_status} -> {flip.to_status} ({flip.reason})"
        events.append((flip.step, flip.step, text))
    machine = history.machine
    events += [(d.step, d.step, f"{_at(d.from_at)}  deaf until {_at(d.to_at)}") for d in machine.blind]
    events += [
        (step, step, f"{_at(judged.of(job.index))}  judged up to here at a turn") for step, judged in machine.turns
    ]
    events.sort()
    near = next((n for n, event in enumerate(events) if event[0] >= finding.step), len(events))
    chosen = events[max(0, near - before) : near + after]
    config = job.config
    rules = f"{config.kind} {config.period_s or config.expression!r} {config.zone} {config.dialect}"
    lost = [item for item in items if isinstance(item, Sent) and item.committed == UNSENT]
    return "\n".join(
        [
            f"check {finding.job}: {rules}, grace {config.grace_s} s, max run {config.max_run_s}, {job.rhythm}",
            f"  {finding.wrong}",
            *(f"  [{step}{'' if step == end else f'..{end}'}] {text}" for step, end, text in chosen),
            f"  {len(lost)} requests were lost, the last: {[(_at(item.at), item.what) for item in lost[-3:]]}",
        ]
    )


def _signal(sent: Sent) -> str:
    facts = [f"rid {sent.rid[:4]}" if sent.rid else "", f"{sent.takes / 1e6:g} s long" if sent.takes else ""]
    facts += ["too slow to be waited for" if sent.slow else "", f"judged {_at(sent.judged)}"]
    return f"{sent.what} ({', '.join(fact for fact in facts if fact)})"


def _at(us: int) -> str:
    return instant(us).strftime("%m-%d %H:%M:%S.%f")
