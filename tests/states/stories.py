"""How a state machine is run: so many steps, in stories of fifty at most. What the steps are is each machine's own."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

IN_A_STORY = 50


def run(machine: type[RuleBasedStateMachine], *, n_steps: int, number: int, phases: Sequence[Phase]) -> None:
    """`number`: another one makes other stories. Raises what the first story raises that differs."""
    stories = settings(
        max_examples=max(1, n_steps // IN_A_STORY),
        stateful_step_count=IN_A_STORY,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(machine), settings=stories)
