"""The bugs that are put in on purpose, each with the tests that must go red for it.

Those of which a heartbeat monitor must be safe: each would cost somebody an alert, or wake him for nothing.
What is done with them is run.py's. A line that is moved or reworded is to be followed here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    """Old text, which stands exactly once in the file, and new."""
    tests: tuple[str, ...]
    """As pytest takes them. At least two of them must fail."""

    def of(self, text: str) -> str:
        """The file with its bug. LookupError: an old text is not there exactly once."""
        for old, new in self.edits:
            if (n := text.count(old)) != 1:
                raise LookupError(f"{self.name}: stands {n} times in {self.file}, not once:\n{old}")
            text = text.replace(old, new)
        return text


DISPATCH = (
    "tests/notify/test_dispatch.py::test_a_refused_message_is_sent_again_under_the_same_id",
    "tests/notify/test_dispatch.py::test_a_message_that_may_have_arrived_is_flagged_when_it_is_sent_again",
    "tests/notify/test_dispatch_live.py::test_a_send_that_does_not_end_is_left_to_its_lease",
)
TOLERANCE, BOUNDS = "tests/core/test_check_tolerance.py", "tests/core/test_check_bounds.py"
WATCH = "tests/monitor/test_watch.py"
LEASE = "tests/monitor/test_lease.py"
VOLUME = "tests/monitor/test_volume_guard.py"
FORWARDED = "tests/server/test_server_forwarded.py"
HTTP, SSRF = "tests/net/test_net_http.py", "tests/net/test_net_ssrf.py"

MUTANTS = (
    Mutant(
        name="an alert is marked as sent before it is sent",
        file="heartfly/notify/dispatch.py",
        edits=(
            (
                "            outcome, took_s = await self._send(lane, claimed, payloads, now)\n",
                (
                    "            early = Outcome(claimed=claimed, started_at=now(), ended_at=now())\n"
                    "            await self._recorder.record(early, last=True)\n"
                    "            outcome, took_s = await self._send(lane, claimed, payloads, now)\n"
                ),
            ),
        ),
        tests=DISPATCH,
    ),
    Mutant(
        name="a commit need not be on the disk: NORMAL for FULL",
        file="heartfly/db/sqlite.py",
        edits=(('            "synchronous=FULL",\n', '            "synchronous=NORMAL",\n'),),
        tests=("tests/db/test_sqlite_failures.py",),
    ),
    Mutant(
        name="many that fall silent at once are judged as if all of the time had been heard",
        file="heartfly/core/alike.py",
        edits=(("    if any(one.touches(first, last) for one in blind):\n", "    if not blind and first > last:\n"),),
        tests=("tests/core/test_alike.py", "tests/monitor/test_many_at_once.py"),
    ),
    Mutant(
        name="a check is written back without being held since it was read",
        file="heartfly/checks/rows.py",
        edits=((".order_by(checks.c.id).with_for_update(key_share=True, of=checks)", ".order_by(checks.c.id)"),),
        tests=("tests/monitor/test_race.py", "tests/checks/test_commands_race.py"),
    ),
    Mutant(
        name="an edit is taken whatever was changed since it was read",
        file="heartfly/checks/commands.py",
        edits=(("if rev is not None and found[0].check.rev != rev:", "if rev is not None and rev < 0:"),),
        tests=(
            "tests/checks/test_commands_race.py",
            "tests/api/test_api_checks.py::test_an_edit_of_what_changed_meanwhile_is_refused_to_who_asks_for_it",
        ),
    ),
    Mutant(
        name="time in which nobody could hear excuses nothing",
        file="heartfly/monitor/judge.py",
        edits=(("blind = blind_since(tx, oldest) if due else []", "blind: list[Blind] = []"),),
        tests=(
            f"{WATCH}::test_a_slot_that_fell_into_our_own_outage_is_unverified_not_down",
            "tests/stories/test_promises.py::test_our_own_outage_is_nobodys_fault",
            "tests/simulator/test_simulator.py::test_no_alarm_is_false_and_none_is_missing_in_a_few_seeded_days[1]",
        ),
    ),
    Mutant(
        name="an incident stays open when its check comes up",
        file="heartfly/incidents/spans.py",
        edits=(("            if span.turn is None:\n", "            if span.turn is not None:\n"),),
        tests=(
            "tests/incidents/test_spans.py::test_a_failure_opens_an_incident_and_a_success_closes_it",
            "tests/incidents/test_spans.py::test_a_pause_closes_it",
            "tests/incidents/test_spans.py::test_data_that_only_warn_close_it_and_open_none",
        ),
    ),
    Mutant(
        name="a lease ends by the wall clock of its node",
        file="heartfly/monitor/leader.py",
        edits=(("now = sa.func.clock_timestamp()", "now = self._clock.now()"),),
        tests=(LEASE,),
    ),
    Mutant(
        name="a lease is trusted by the wall clock of its node",
        file="heartfly/monitor/leader.py",
        edits=(
            ("asked = self._clock.monotonic()", "asked = self._clock.now().timestamp()"),
            ("self._clock.monotonic() >= self._trusted", "self._clock.now().timestamp() >= self._trusted"),
        ),
        tests=(LEASE,),
    ),
    Mutant(
        name="a redirect is followed",
        file="heartfly/net/http.py",
        edits=(
            (
                "        self._silent.pop(receiver, None)\n        return reply\n",
                (
                    "        self._silent.pop(receiver, None)\n"
                    '        if 300 <= reply.status < 400 and "location" in reply.headers:\n'
                    '            return await self.request(method, reply.headers["location"], headers={})\n'
                    "        return reply\n"
                ),
            ),
        ),
        tests=(f"{HTTP}::test_a_redirect_is_returned_and_not_followed", f"{SSRF}::test_no_redirect_leads_in"),
    ),
    Mutant(
        name="a name is resolved once to judge it and again to connect",
        file="heartfly/net/connect.py",
        edits=(("        return allowed\n", "        return await self._look_up(host, port)\n"),),
        tests=(
            f"{HTTP}::test_the_name_is_resolved_once_for_each_connection",
            f"{SSRF}::test_no_name_leads_in_when_its_answer_changes",
            f"{SSRF}::test_of_mixed_answers_only_the_public_ones_are_used",
        ),
    ),
    Mutant(
        name="whoever sends X-Forwarded-For is believed",
        file="heartfly/server/forwarded.py",
        edits=(("if not trusted or not (not peer_text or _is_trusted(peer, trusted)):", "if not trusted:"),),
        tests=(FORWARDED,),
    ),
    Mutant(
        name="the left-most hop of X-Forwarded-For is believed",
        file="heartfly/server/forwarded.py",
        edits=(('in reversed(_values(scope, b"x-forwarded-for")):', 'in _values(scope, b"x-forwarded-for"):'),),
        tests=(FORWARDED,),
    ),
    Mutant(
        name="the deadline itself is not yet an alarm",
        file="heartfly/core/check.py",
        edits=(("misses_at is not None and misses_at <= through:", "misses_at is not None and misses_at < through:"),),
        tests=(
            "tests/core/test_check_silence.py",
            "tests/core/test_check_table.py",
            f"{WATCH}::test_a_missed_slot_is_down_at_its_deadline_and_not_before",
        ),
    ),
    Mutant(
        name="a failure that is tolerated is not counted, so none is ever told",
        file="heartfly/core/tolerance.py",
        edits=(("        bad=memory.bad + 1,\n", "        bad=1,\n"),),
        tests=(TOLERANCE, "tests/core/test_check_machine.py::test_any_life_in_order_is_told_the_same_way_twice"),
    ),
    Mutant(
        name="a failure is tolerated without saying so",
        file="heartfly/core/check.py",
        edits=(("            run = replace(run, tolerated=tolerances.standing(tolerance, memory))\n", ""),),
        tests=(TOLERANCE, "tests/core/test_check_machine.py::test_any_life_in_order_is_told_the_same_way_twice"),
    ),
    Mutant(
        name="a check that was never well tolerates its first failure, and then waits for nothing",
        file="heartfly/core/check.py",
        edits=(("if not enough and check.status in _WATCHED:", "if not enough and check.status is not Status.DOWN:"),),
        tests=(TOLERANCE, "tests/core/test_check_table.py"),
    ),
    Mutant(
        name="a run that hangs within what is tolerated is counted once more, as a missed slot",
        file="heartfly/core/check.py",
        edits=(("anchor_at=ends)), now, after=ends)", "anchor_at=ends)), now)"),),
        tests=(TOLERANCE, "tests/core/test_check_machine.py::test_any_life_in_order_is_told_the_same_way_twice"),
    ),
    Mutant(
        name="one success of several that are wanted ends an alarm",
        file="heartfly/core/check.py",
        edits=(("        if down and memory.good:\n", "        if down and memory.good > 1:\n"),),
        tests=(TOLERANCE, "tests/core/test_check_table.py"),
    ),
    Mutant(
        name="who has reported counts for the next slot as well",
        file="heartfly/core/bounds.py",
        edits=(
            ("return replace(memory, reported=(), round_at=None), True", "return replace(memory, round_at=None), True"),
        ),
        tests=(BOUNDS,),
    ),
    Mutant(
        name="an early run is for its slot however early it is",
        file="heartfly/core/slots.py",
        edits=(("return from_at is not None and signal.at < from_at", "return from_at is not None and False"),),
        tests=(BOUNDS,),
    ),
    Mutant(
        name="what is due at this very instant is looked at with the next beat",
        file="heartfly/monitor/judge.py",
        edits=(("due = checks.c.wake_at <= sa.bindparam", "due = checks.c.wake_at < sa.bindparam"),),
        tests=(
            f"{WATCH}::test_a_missed_slot_is_down_at_its_deadline_and_not_before",
            f"{WATCH}::test_a_run_that_hangs_is_down_at_its_limit",
            f"{WATCH}::test_who_hears_of_lateness_is_told_when_the_slot_opens",
        ),
    ),
    Mutant(
        name="that our own address does not answer counts although it never did",
        file="heartfly/monitor/volume_guard.py",
        edits=(("guard.stand is Stand.CLEAR and _knows(tx, until)", "guard.stand is Stand.CLEAR"),),
        tests=(
            f"{VOLUME}::test_where_no_probe_ever_arrived_nothing_is_held",
            f"{VOLUME}::test_pings_that_come_again_end_it_although_the_probe_does_not_arrive",
        ),
    ),
    Mutant(
        name="where all pings stop, alarms go out before anybody has asked why",
        file="heartfly/monitor/watch.py",
        edits=(("self.watermark if self.hold is None else min(self.watermark, self.hold)", "self.watermark"),),
        tests=(
            f"{VOLUME}::test_when_all_jobs_fall_silent_it_is_told_as_soon_as_the_probe_has_answered",
            f"{VOLUME}::test_nobody_waits_for_longer_than_two_minutes_whatever_the_probe_does",
        ),
    ),
)
