"""`heartfly checks suggest`, `backtest`, `slo` and `diff`: what the past of a check says, and other rules would."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import rich_click as click

from heartfly.cli.check_options import asked_of, schedule_options
from heartfly.cli.checks import checks_group, find
from heartfly.cli.client import Client, connected, part
from heartfly.cli.output import AS_JSON, DURATION, counted, plain, print_json, print_table, seconds

__all__ = ["checks_group"]
_SHOWN = 20
_WINDOW = re.compile(r"\s*(?P<cron>.+?)\s+(?P<lasts>[0-9]+[smhdw])\s*", re.ASCII)
_DECIDING = ("schedule", "grace", "max_run")
_SIGNS = {"-": "-", "+": "+", "=": " "}


@checks_group.command("suggest")
@click.argument("check")
@click.option("--take", is_flag=True, help="Edit the check so.")
@AS_JSON
@connected()
def suggest(*, check: str, take: bool, as_json: bool, api: Client) -> None:
    """Say what the past of a check suggests, by its slug or id: schedule, grace and longest run, with the evidence.

    Learned from the oldest four fifths of its runs, and tried on the rest. Also what has moved, and which runs were
    unusual. Changes nothing, unless you say --take.
    """
    found = find(api, check)
    path = f"/v1/checks/{part(found['id'])}"
    told = api.call("GET", f"{path}/suggestions")
    asked = {name: told[name] for name in _DECIDING if told[name] is not None}
    taken = bool(take and asked)
    if taken:
        api.call("PATCH", path, asked)
    if as_json:
        print_json(told | {"taken": taken})
        return
    for one in told["moved"]:
        click.echo(plain(f"{one['text']}, since {one['since']}."))
    for line in _suggested(found, told):
        click.echo(plain(line))
    for sentence in told["sentences"]:
        click.echo(plain(f"  {sentence}"))
    if asked:
        click.echo(
            f"Learned from {counted(told['n_runs'] - told['n_tried'], 'run')}; on the {told['n_tried']} since: "
            f"{counted(told['n_old'], 'alarm')} as it is, {told['n_new']} as suggested."
        )
        _alarms(told)
    if told["unusual"]:
        click.echo("\nUnusual runs")
        rows = [(one["at"], one["text"], "told" if one["asked"] else "-") for one in told["unusual"][:_SHOWN]]
        print_table(("RUN", "WHAT", "BY A GATE"), rows)
    if taken:
        click.echo(plain(f"{found['name']} is edited so."))


def _suggested(found: Any, told: Any) -> Sequence[str]:
    if told["why"]:
        return [told["why"]]
    lines = []
    if told["schedule"] is not None:
        lines.append(f"schedule: {told['schedule_text']}, in the place of {found['schedule_text']}")
    if told["grace"] is not None:
        lines.append(f"grace: {seconds(told['grace'])}, in the place of {seconds(found['grace'])}")
    if told["max_run"] is not None:
        was = "the grace" if found["max_run"] is None else seconds(found["max_run"])
        lines.append(f"longest run: {seconds(told['max_run'])}, in the place of {was}")
    return lines


@checks_group.command("backtest")
@click.argument("check")
@schedule_options
@click.option(
    "--window",
    "windows",
    multiple=True,
    help='Maintenance that would have been, as cron and how long: "0 2 * * 0 2h", in UTC. May be repeated.',
)
@AS_JSON
@connected()
def backtest(*, check: str, windows: tuple[str, ...], as_json: bool, api: Client, **rest: Any) -> None:
    """Say which alarms another rule would have raised on the pings of a check, by its slug or id. Changes nothing."""
    asked: dict[str, Any] = asked_of(tags=(), **rest)
    if windows:
        asked["windows"] = [_window(one) for one in windows]
    if not asked:
        raise click.UsageError("Say what to try; `heartfly checks backtest --help` lists it.")
    found = find(api, check)
    told = api.call("POST", f"/v1/checks/{part(found['id'])}/backtest", asked)
    if as_json:
        print_json(told)
        return
    if not told["n_pings"]:
        click.echo("No ping of it is kept, by which that could be tried.")
        return
    click.echo(
        f"On {counted(told['n_pings'], 'ping')} since {told['from_at']}: {counted(told['n_old'], 'alarm')} as it is, "
        f"{told['n_new']} as it would be."
    )
    _alarms(told)


def _window(text: str) -> Mapping[str, Any]:
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise click.BadParameter(f'{text!r} must look like "0 2 * * 0 2h"', param_hint="--window")
    return {"cron": found["cron"], "lasts": DURATION.convert(found["lasts"], None, None)}


def _alarms(told: Any) -> None:
    rows = [("kept", one["new"]) for one in told["kept"]]
    rows += [(word, one) for word, name in (("lost", "lost"), ("new", "added")) for one in told[name]]
    if rows:
        print_table(
            ("ALARM", "FROM", "TO", "REASON", "INCIDENT"),
            [
                (word, one["at"], one["ended_at"] or "still", one["reason"].replace("_", " "), one["incident"] or "-")
                for word, one in rows
            ],
        )


@checks_group.command("slo")
@click.argument("check", required=False)
@click.option("--month", default="", help="A month such as 2026-11.  [the last days that the target is about]")
@click.option("--aimed", is_flag=True, help="Of all checks: only those with a target.")
@AS_JSON
@connected()
def slo(*, check: str | None, month: str, aimed: bool, as_json: bool, api: Client) -> None:
    """Say which share of the runs of a check, or of all, came in time and went well, and what is left of the target.

    Exit status 1 if a target is not kept.
    """
    asked = {"month": month} if month else {}
    if check is not None:
        found = [api.call("GET", f"/v1/checks/{part(find(api, check)['id'])}/service-level", **asked)]
    else:
        found = list(api.listed("/v1/service-levels", aimed=str(aimed).lower(), **asked))
    if as_json:
        print_json(found if check is None else found[0])
    elif not found:
        click.echo("No check has a target." if aimed else "There are no checks yet.")
    else:
        print_table(
            ("CHECK", "IN TIME", "WENT WELL", "NOT HEARD", "DAYS"),
            [
                (
                    one["name"],
                    _level(one["on_time"]),
                    _level(one["success"]),
                    seconds(one["blind"]) if one["blind"] else "-",
                    f"{one['from_day']} to {one['to_day']}",
                )
                for one in found
            ],
        )
    if any(one["met"] is False for one in found):
        raise SystemExit(1)


def _level(level: Any) -> str:
    if level["share"] is None:
        return "-"
    share = f"{level['share']}% of {level['n']}"
    if level["target"] is None:
        return share
    kept = "kept" if level["met"] else "not kept"
    return f"{share}, {level['target']}% {kept}, {level['left']} of {level['allowed']} bad runs left"


@checks_group.command("diff")
@click.argument("check")
@click.option("--ping", "n", type=click.IntRange(min=1), help="The number of its ping.  [the newest failure]")
@click.option("--without-numbers", is_flag=True, help="Numbers do not count, either.")
@AS_JSON
@connected()
def diff(*, check: str, n: int | None, without_numbers: bool, as_json: bool, api: Client) -> None:
    """Say what a run that failed printed that the last success did not, by the slug or id of its check.

    Times, ids, hex and durations count for nothing. Exit status 1 if they differ, as diff has it.
    """
    path = f"/v1/checks/{part(find(api, check)['id'])}"
    if n is None:
        pings = api.listed(f"{path}/pings")
        n = next((one["n"] for one in pings if one["kind"] == "fail" and one["body_url"]), None)
        if n is None:
            raise click.ClickException("No failure of it is kept that said something; name a ping by --ping.")
    told = api.call("GET", f"{path}/pings/{n}/diff", numbers=str(not without_numbers).lower())
    if as_json:
        print_json(told | {"ping": n})
    elif told["compared_with"] is None:
        click.echo("No success before it is kept that said something.")
    elif told["same"]:
        click.echo(f"Ping {n} says what ping {told['compared_with']} said.")
    else:
        click.echo(f"--- ping {told['compared_with']}, the last success\n+++ ping {n}")
        for line in told["lines"]:
            click.echo(_line(line))
        if not told["whole"]:
            click.echo("They are long: only their beginnings were compared.")
    if told["lines"]:
        raise SystemExit(1)


def _line(line: Any) -> str:
    if line["sign"] == "skip":
        return f"… {counted(int(line['text']), 'line')} the same"
    return f"{_SIGNS[line['sign']]} {plain(line['text'])}"
