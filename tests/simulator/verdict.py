"""From a history to a verdict: what was promised and is not so, each with the story of its check, and the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulator.audit import Fault, audit
from tests.simulator.ground_truth import DAY, Job, Sent
from tests.simulator.oracle import Deafness, Finding, Replay
from tests.simulator.run import History, Plan, Simulation
from tests.simulator.story import tell


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


def _replay(history: History, job: Job, deaf: Deafness) -> Replay:
    turns = [(step, judged.of(job.index)) for step, judged in history.machine.turns]
    return Replay(job, history.flips[job.index], deaf, turns, history.start)


def judge(history: History) -> Verdict:
    machine = history.machine
    deaf = Deafness([one.step for one in machine.blind], tuple((one.from_at, one.to_at) for one in machine.blind))
    findings = [_replay(history, job, deaf).run(machine.step, machine.judged.of(job.index)) for job in history.jobs]
    verdict = Verdict(history.plan, history.digest)
    faults = list(audit(history))
    wrong = [finding for finding in findings if finding.wrong]
    wrong += [Finding(-1 if fault.job is None else fault.job, fault.wrong, fault.step) for fault in faults]
    for finding in wrong:
        verdict.wrong.append(f"check {finding.job}: {finding.wrong}")
        verdict.stories.append(finding.wrong if finding.job < 0 else tell(history, finding))
    _count(verdict, history, findings, faults)
    return verdict


def _count(verdict: Verdict, history: History, findings: list[Finding], faults: Sequence[Fault]) -> None:
    machine, tally = history.machine, history.tally
    verdict.tally = tally
    committed = sum(isinstance(item, Sent) and item.committed >= 0 for job in history.jobs for item in job.history)
    deaf = sum(one.to_at - one.from_at for one in machine.blind)
    n_wide = sum(finding.n_wide for finding in findings)
    verdict.figures = {
        "requests": tally["sent"],
        "of them heard": committed,
        "transactions": machine.n_batches,
        "lives of the process": machine.n_lives,
        "blind intervals": len(machine.blind),
        "minutes deaf": deaf // (DAY // 1440),
        "clock steps": tally["clock"],
        "flips": sum(len(flips) for flips in history.flips.values()),
        "alarms expected": sum(finding.n_expected for finding in findings),
        "alarms taken back": tally["alarms taken back"],
        "told after two unheard slots": tally["told after two slots that nobody could hear"],
        "told for a clock that was set back": tally["told for a clock that was set back"],
        "told for a job that strayed beyond its grace": tally["told for a job that strayed beyond its grace"],
        "not told for a clock that was set back": sum(finding.n_by_clock for finding in findings),
        "slots and runs unverified": tally["unverified"],
        "notifications": tally["notifications"],
        "signals compared with the wider rule": n_wide,
        "alarms wrong or missing": sum(bool(finding.wrong) for finding in findings),
        "other promises broken": len(faults),
    }


def simulate(plan: Plan) -> Verdict:
    history = Simulation(plan).run()
    try:
        return judge(history)
    finally:
        history.engine.dispose()
