"""Taking over what another server tells of itself, as its own API tells it. How it is read is that room's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from litestar import post
from litestar.params import JSONBody

from heartfly.accounts import commands, key_commands
from heartfly.accounts.guards import ADMINISTERS
from heartfly.accounts.keys import Scope
from heartfly.api.compat.healthchecks.take_over import FieldDifference, Taken, TakingOver
from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, HeartflyError, InvalidValueError

MOST_CHECKS = 100
_OVERLAP_S = 30 * 86_400
_KEY = re.compile(r"[A-Za-z0-9_-]{32,64}", re.ASCII)

Kept = Literal["new", "same"]


class TheirChannel(msgspec.Struct):
    """As their API lists it; more is not told of one."""

    id: str
    name: str
    kind: str = ""


class HealthchecksIn(msgspec.Struct, forbid_unknown_fields=True):
    """What their API answers to a key that may write. Nothing of what is here is overwritten without `update`."""

    checks: list[dict[str, Any]] = []
    """As `GET /api/v3/checks/` lists them; at most 100."""
    channels: list[TheirChannel] = []
    """As `GET /api/v3/channels/` lists them: a check is heard of on ours with the same names."""
    badges: dict[str, dict[str, str]] = {}
    """As `GET /api/v3/badges/` lists them: these addresses work on."""
    ping_key: str | None = None
    """Which jobs have in their addresses. The project's own works for 30 days more."""
    api_key: str | None = None
    """One of theirs that shall go on: it may read and write. 32 to 64 letters."""
    read_key: str | None = None
    """The same, that may read."""
    update: bool = False
    """Checks that are here already become as they are there."""
    dry_run: bool = False
    """Say what would come of it, and do nothing."""


class TakenOut(msgspec.Struct, kw_only=True):
    """`check`: its id here; null: it was refused, or this is a dry run. `address`: what jobs ping."""

    name: str
    address: str
    outcome: Literal["new", "same", "differs", "updated", "refused"]
    check: str | None
    differences: list[FieldDifference]
    """Of what is here from what is there."""
    notes: list[str]
    """Why it was refused, and which channels there are not here."""


class ImportedOut(msgspec.Struct, kw_only=True):
    """`ping_key`, `api_key`, `read_key`: null if none was given."""

    dry_run: bool
    checks: list[TakenOut]
    new_badges: int
    ping_key: Kept | None
    api_key: Kept | None
    read_key: Kept | None


SHAPES = (HealthchecksIn, ImportedOut)


class _RehearsedError(HeartflyError):
    """It went well up to here, and nothing of it shall stay."""

    def __init__(self, told: ImportedOut) -> None:
        super().__init__("it was a dry run")
        self.told = told


@post(
    "/import/healthchecks",
    summary="Take over checks",
    responses=told_as(409, 413, 422),
    tags=["project"],
    opt=ADMINISTERS,
    status_code=200,
)
async def import_healthchecks(request: ApiRequest, data: JSONBody[HealthchecksIn]) -> ImportedOut:
    """From a server that speaks the API of Healthchecks: checks with their addresses, so that no job is changed.

    One that is wrong is told and does not stop the others; a key that cannot be taken stops all.
    """
    _demand_sound(data)

    def command(tx: Tx) -> ImportedOut:
        told = _import(tx, request, data)
        if data.dry_run:
            raise _RehearsedError(told)
        return told

    try:
        return await request.administer(command)
    except _RehearsedError as rehearsed:
        return rehearsed.told


def _demand_sound(data: HealthchecksIn) -> None:
    if len(data.checks) > MOST_CHECKS:
        raise InvalidValueError("checks", f"must be at most {MOST_CHECKS}: send the rest in another request")
    for name in ("api_key", "read_key"):
        given = getattr(data, name)
        if given is not None and not _KEY.fullmatch(given):
            raise InvalidValueError(name, "must be 32 to 64 letters, digits, - or _, as their keys are")


def _import(tx: Tx, request: ApiRequest, data: HealthchecksIn) -> ImportedOut:
    api, pid, at = request.api, request.caller.pid, request.api.clock.now()
    taking = TakingOver(
        pid=pid,
        actor=request.actor,
        ids=api.ids,
        at=at,
        base_url=api.base_url,
        most=api.settings.limits.checks,
        theirs={one.id: one.name or f"{one.kind} without a name" for one in data.channels},
        updates=data.update,
    )
    taken = [taking.take(tx, form) for form in data.checks]
    taking.take_badges(tx, data.badges)
    return ImportedOut(
        dry_run=data.dry_run,
        checks=[_out(one, dry_run=data.dry_run) for one in taken],
        new_badges=taking.n_new_badges,
        ping_key=_ping_key(tx, request, data.ping_key),
        api_key=_key(tx, request, data.api_key, name="api_key", scopes=(Scope.READ, Scope.WRITE)),
        read_key=_key(tx, request, data.read_key, name="read_key", scopes=(Scope.READ,)),
    )


def _ping_key(tx: Tx, request: ApiRequest, given: str | None) -> Kept | None:
    if given is None:
        return None
    api, pid = request.api, request.caller.pid
    if commands.has_ping_key(tx, pid, given):
        return "same"
    commands.rotate_ping_key(
        tx, pid, overlap_s=_OVERLAP_S, actor=request.actor, at=api.clock.now(), ids=api.ids, sealer=api.sealer,
        ping_key=given,
    )  # fmt: skip
    return "new"


def _key(tx: Tx, request: ApiRequest, given: str | None, *, name: str, scopes: tuple[Scope, ...]) -> Kept | None:
    if given is None:
        return None
    api, caller = request.api, request.caller
    known = key_commands.known(tx, given)
    if known is not None:
        if known.pid != caller.pid or known.revoked_at is not None:
            whose = "another project has it" if known.pid != caller.pid else "it was revoked"
            raise ConflictError(f"{name}: {whose}")
        return "same"
    key_commands.create_key(
        tx, caller.pid, name=_KEY_NAMES[name], scopes=[scope.value for scope in scopes], expires_at=None,
        may_grant=caller.scopes, actor=request.actor, at=api.clock.now(), ids=api.ids, secret=given,
    )  # fmt: skip
    return "new"


_KEY_NAMES: Mapping[str, str] = {"api_key": "Healthchecks key", "read_key": "Healthchecks key, read-only"}


def _out(one: Taken, *, dry_run: bool) -> TakenOut:
    return TakenOut(
        name=one.name,
        address=one.address,
        outcome=one.outcome,  # type: ignore[arg-type] # as the room writes it
        check=None if dry_run and one.outcome == "new" else one.uuid,
        differences=list(one.differences),
        notes=list(one.notes),
    )
