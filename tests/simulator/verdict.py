"""From a history to a verdict: what was promised and is not so, each with the story of its check, and the figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.simulator.ground_truth import DAY
from tests.simulator.history import History, Plan
from tests.simulator.run import Simulation
from tests.simulator.windows import Judge


@dataclass(slots=True)
class Verdict:
    plan: Plan
    digest: str
    """SHA-256 of the log of events."""
    wrong: list[str] = field(default_factory=list)
    """In one sentence each; empty when every promise was kept."""
    stories: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> bool:
        return not self.wrong

    @property
    def n_false(self) -> int:
        """Alarms, and other flips, that should not be."""
        return sum("FALSE ALARM" in wrong or "too many: " in wrong for wrong in self.wrong)

    @property
    def n_missed(self) -> int:
        return sum("missing: " in wrong for wrong in self.wrong)

    def report(self, *, commit: str, stories: int = 3) -> str:
        head = f"seed={self.plan.seed} commit={commit} checks={self.plan.n_checks} days={self.plan.days}"
        lines = [f"{head} {'kept' if self.kept else f'{len(self.wrong)} BROKEN'} log={self.digest[:16]}"]
        lines += [f"  {name}: {value}" for name, value in self.figures.items()]
        for story in self.stories[:stories]:
            lines += [head, story]
        return "\n".join(lines)


def judge(history: History) -> Verdict:
    """All of it at once."""
    return conclude(Judge(history))


def simulate(plan: Plan) -> Verdict:
    """By windows: what is judged is not kept."""
    simulation = Simulation(plan)
    windows = Judge(simulation.history)
    simulation.at_rest = windows.rest
    try:
        simulation.run()
        return conclude(windows)
    finally:
        simulation.history.engine.dispose()


def conclude(windows: Judge) -> Verdict:
    """At the end, by whoever judged what was before."""
    history = windows.history
    findings = windows.end()
    machine, tally = history.machine, history.tally
    figures = {
        "requests": tally["sent"],
        "of them heard": windows.audit.n_heard,
        "transactions": machine.n_batches,
        "lives of the process": machine.n_lives,
        "blind intervals": len(machine.blind),
        "minutes deaf": sum(one.to_at - one.from_at for one in machine.blind) // (DAY // 1440),
        "clock steps": tally["clock"],
        "flips": windows.audit.n_flips,
        "alarms expected": sum(finding.n_expected for finding in findings),
        "alarms taken back": tally["alarms taken back"],
        "told after two unheard slots": tally["told after two slots that nobody could hear"],
        "told for a clock that was set back": tally["told for a clock that was set back"],
        "told for a job that strayed beyond its grace": tally["told for a job that strayed beyond its grace"],
        "not told for a clock that was set back": sum(finding.n_by_clock for finding in findings),
        "slots and runs unverified": tally["unverified"],
        "notifications": tally["notifications"],
        "signals compared with the wider rule": sum(finding.n_wide for finding in findings),
        "alarms wrong or missing": sum(bool(finding.wrong) for finding in findings),
        "other promises broken": windows.n_faults,
    }
    wrong, stories = [wrong for wrong, _ in windows.told], [story for _, story in windows.told]
    return Verdict(history.plan, history.digest, wrong, stories, figures, tally)
