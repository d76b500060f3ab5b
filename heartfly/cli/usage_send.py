"""`heartfly usage put`, `send`, `requeue` and `heartbeat`: the durable sender (heartfly/sender) at the command line.

Exit codes: 0 all is accepted (or in the queue, for `put`); 1 and 2 as everywhere; 3 some events were set aside; 4 the
server turns us away; 5 the queue is full; 75 patience is over. Nothing is lost with any, and to run it again is safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import rich_click as click

from heartfly.cli.client import Client, connected
from heartfly.cli.output import AS_JSON, DURATION, counted, print_json, say
from heartfly.sender import (
    METRONOME,
    NATIVE,
    Alarm,
    DiskQueue,
    GaveUpError,
    QueueFullError,
    Sender,
    SenderError,
    Target,
    TurnedAwayError,
    heartbeat,
    requeue,
)
from heartfly.sender.intake import Intake
from heartfly.sender.times import RealTime

SET_ASIDE, TURNED_AWAY, FULL, GAVE_UP = 3, 4, 5, 75
_WIRES = {"heartfly": NATIVE, "metronome": METRONOME}
_ASK_AGAIN_S = 60.0
_LOOK_EACH_S = 0.2

_QUEUE = click.option(
    "--queue",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="HEARTFLY_QUEUE",
    default=Path("heartfly-queue"),
    show_default=True,
    help="Where events wait, on a local disk; one queue for each project.",
)
_MAX_MB = click.option(
    "--max-mb", type=click.IntRange(1, 1_000_000), default=256, show_default=True, help="The queue's bound."
)
_DEAD_LETTER = click.option(
    "--dead-letter",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where what is no event is set aside.  [dead-letter.ndjson in the queue]",
)
_SOURCE = click.argument("source", metavar="FILE|-", type=click.File("rb"))


def _sending(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what it takes to send."""
    for option in (
        AS_JSON,
        click.option("--give-up-after", type=DURATION, help="Try no longer than this, such as 10m.  [for ever]"),
        click.option("--alarm-url", envvar="HEARTFLY_ALARM_URL", help="A ping address to tell of failure and success."),
        click.option(
            "--log", type=click.Path(dir_okay=False, path_type=Path), help="A file that gets each event that was sent."
        ),
        _DEAD_LETTER,
        _MAX_MB,
        _QUEUE,
        click.option("--wire", type=click.Choice(list(_WIRES)), default="heartfly", show_default=True),
    ):
        command = option(command)
    return connected()(command)


@click.command()
@_SOURCE
@_QUEUE
@_MAX_MB
@_DEAD_LETTER
@AS_JSON
def put(*, source: BufferedIOBase, folder: Path, max_mb: int, dead_letter: Path | None, as_json: bool) -> None:
    """Put events into the queue and send nothing: lines of JSON, from a file or standard input."""
    queue = DiskQueue(folder, max_bytes=max_mb * 1024 * 1024)
    # No request is made: it writes the dead letter only.
    sender = Sender(queue, Target("http://localhost", ""), dead_letter=dead_letter)
    intake = Intake(queue, sender.set_aside)
    try:
        intake.read(source)
    except QueueFullError as error:
        _end(FULL, str(error))
    n_aside = sender.tally.set_aside
    say(
        f"{counted(intake.n_taken, 'event')} in the queue.",
        {"queued": intake.n_taken, "set_aside": n_aside},
        as_json=as_json,
    )
    if n_aside:
        _end(SET_ASIDE, _set_aside(sender))


@click.command("requeue")
@_QUEUE
@_MAX_MB
@_DEAD_LETTER
@AS_JSON
def requeue_command(*, folder: Path, max_mb: int, dead_letter: Path | None, as_json: bool) -> None:
    """Put what was set aside back into the queue, once you have corrected it. What is no event stays."""
    found = requeue(DiskQueue(folder, max_bytes=max_mb * 1024 * 1024), dead_letter)
    say(f"{counted(found.moved, 'event')} back in the queue.", asdict(found), as_json=as_json)
    where = dead_letter or folder / "dead-letter.ndjson"
    if found.kept:
        _tell(f"{counted(found.kept, 'line')} left in {where}: no event is in it.")
    if found.no_room:
        _end(FULL, f"{counted(found.no_room, 'event')} left in {where}: the queue is full.")
    if found.kept:
        _end(SET_ASIDE, "")


@click.command()
@click.argument("source", metavar="[FILE|-]", type=click.File("rb"), required=False)
@_sending
def send(api: Client, source: BufferedIOBase | None, **options: Any) -> None:
    """Send events until each is accepted: lines of JSON, from a file or standard input, and what waits in the queue."""
    _Run(api, **options).all_of(source)


@click.command("heartbeat")
@click.option("--node", required=True, help="Who is alive.")
@click.option("--customer", required=True, help="The customer_id of the event.")
@click.option("--type", "event_type", default="heartbeat", show_default=True, help="The event_type.")
@_sending
def heartbeat_command(api: Client, node: str, customer: str, event_type: str, **options: Any) -> None:
    """Send an event that says that a node is alive in this minute: however many are sent, one counts."""
    run = _Run(api, **options)
    run.queue.put([heartbeat(node, RealTime().now(), customer_id=customer, event_type=event_type)])
    run.all_of(None)


class _Run:
    def __init__(
        self,
        api: Client,
        *,
        folder: Path,
        wire: str,
        max_mb: int,
        dead_letter: Path | None,
        log: Path | None,
        alarm_url: str | None,
        give_up_after: int | None,
        as_json: bool,
    ) -> None:
        self.queue = DiskQueue(folder, max_bytes=max_mb * 1024 * 1024)
        try:
            self._alarm = Alarm(alarm_url, folder) if alarm_url else None
        except SenderError as error:
            raise click.UsageError(str(error)) from error
        target = Target(api.url, api.key, _WIRES[wire])
        self._sender = Sender(
            self.queue, target, dead_letter=dead_letter, log=log, alarm=self._alarm, tell=_tell,
        )  # fmt: skip
        self._patience = give_up_after
        self._as_json = as_json
        self._trouble: SenderError | None = None

    def all_of(self, source: BufferedIOBase | None) -> None:
        """Take in while sending, so that a file may be larger than the queue and a pipe need never end."""
        intake = Intake(self.queue, self._sender.set_aside, waits_for_room=True)
        failed: list[Exception] = []
        if source is None:
            self._drain()
        else:
            reading = threading.Thread(target=_caught, args=(intake, source, failed), daemon=True)
            reading.start()
            self._while(intake)
            reading.join()
        self._report(failed)

    def _while(self, intake: Intake) -> None:
        while True:
            was_open = intake.is_open
            self._drain()
            if not was_open:
                return
            if self._trouble and intake.has_no_room:
                intake.give_up()
            intake.changed.wait(_ASK_AGAIN_S if self._trouble else _LOOK_EACH_S)
            intake.changed.clear()

    def _drain(self) -> None:
        try:
            self._sender.drain(patience_s=self._patience)
            self._trouble = None
        except (TurnedAwayError, GaveUpError) as error:
            self._trouble = error
            _tell(str(error))

    def _report(self, failed: list[Exception]) -> None:
        tally = self._sender.tally
        if self._as_json:
            print_json(asdict(tally))
        else:
            conflicts = f", {counted(tally.conflict, 'conflict')}" if tally.conflict else ""
            click.echo(f"{counted(tally.accepted, 'event')} accepted, {tally.duplicate} known already{conflicts}.")
        if self._trouble is not None:
            self._sender.alarm(str(self._trouble))
            _end(TURNED_AWAY if isinstance(self._trouble, TurnedAwayError) else GAVE_UP, "")
        for error in failed:
            if isinstance(error, QueueFullError):
                self._sender.alarm(str(error))
                _end(FULL, str(error))
            raise click.ClickException(str(error)) from error
        if tally.set_aside:
            _end(SET_ASIDE, _set_aside(self._sender))
        if self._alarm is not None and (missed := self._alarm.all_is_well()) is not None:
            _tell(missed)


def _caught(intake: Intake, source: BufferedIOBase, failed: list[Exception]) -> None:
    try:
        intake.read(source)
    except (OSError, SenderError) as error:  # told at the end, by the thread that has the terminal
        failed.append(error)


def _set_aside(sender: Sender) -> str:
    return f"{counted(sender.tally.set_aside, 'event')} set aside: see {sender.dead_letter}"


def _tell(sentence: str) -> None:
    click.echo(sentence, err=True)


def _end(code: int, sentence: str) -> None:
    if sentence:
        _tell(sentence)
    raise SystemExit(code)
