"""API keys: what each may do and when it was last used; new ones, rotated and revoked. A secret is on one page, once.

An administrator hands out what he may do himself; the scope `admin`, with which owners could be made, only owners do.
"""

from __future__ import annotations

from datetime import timedelta

from litestar import Response, get, post

from heartfly.accounts import key_commands, queries
from heartfly.accounts.keys import Scope
from heartfly.accounts.rights import DemotedError
from heartfly.accounts.sessions import Membership
from heartfly.api.v1.wire_accounts import key_out
from heartfly.errors import ConflictError, ForbiddenError, InvalidValueError
from heartfly.web.request import FOR_ADMINS, Form, PageRequest
from heartfly.web.sign_in import to

LIFETIMES = {"": "never", "30": "in 30 days", "90": "in 90 days", "365": "in a year"}
"""When a new key ends, by days."""
OVERLAPS = {"0": "not at all", "3600": "an hour", "86400": "a day", "604800": "a week"}
"""How long the old secret works on, by seconds."""
MAY = {
    Scope.READ: "sees all",
    Scope.WRITE: "changes checks and channels",
    Scope.ADMIN: "keys, people, the project",
    Scope.INGEST: "sends events of usage, and nothing else",
}


@get("/p/{project:str}/settings/keys", opt=FOR_ADMINS)
async def show(request: PageRequest) -> Response[bytes]:
    return await _page(request)


@post("/p/{project:str}/settings/keys", opt=FOR_ADMINS, status_code=200)
async def create(request: PageRequest) -> Response[bytes]:
    api, project, actor, form = request.api, request.project, request.actor, await request.sent()
    at, scopes = api.clock.now(), [scope.value for scope in Scope if scope.value in form]
    try:
        days = one_of(form["ends"], LIFETIMES, "ends")
        made = await request.administer(
            lambda tx, me: key_commands.create_key(
                tx,
                project.pid,
                name=form["name"],
                scopes=scopes,
                expires_at=at + timedelta(days=int(days)) if days else None,
                may_grant=_grantable(me),
                actor=actor,
                at=at,
                ids=api.ids,
            )
        )
    except InvalidValueError as error:
        return await _page(request, status=422, form=form, errors={error.field.partition("[")[0]: error.message})
    except DemotedError:
        raise
    except ForbiddenError:
        return await _page(request, status=403, form=form, errors={"scopes": "admin can be given by an owner only"})
    except ConflictError as error:
        return await _page(request, status=409, form=form, errors={"name": str(error)})
    return await _page(request, status=201, secret=made.secret, of=form["name"].strip())


@post("/p/{project:str}/settings/keys/{key:str}/rotate", opt=FOR_ADMINS, status_code=200)
async def rotate(request: PageRequest) -> Response[bytes]:
    api, project, actor, which = request.api, request.project, request.actor, request.path_value("key")
    at, seconds = api.clock.now(), (await request.sent())["overlap"]
    overlap_s = int(one_of(seconds, OVERLAPS, "overlap"))
    try:
        secret = await request.administer(
            lambda tx, me: key_commands.rotate_key(
                tx,
                project.pid,
                which,
                overlap_s=overlap_s,
                may_grant=_grantable(me),
                actor=actor,
                at=at,
                ids=api.ids,
            )
        )
    except DemotedError:
        raise
    except ForbiddenError:
        return await _page(request, status=403, wrong="Only an owner can rotate a key with the scope admin.")
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"{error}.")
    async with api.database.read() as read:
        row = await queries.one_key(read, project.pid, which)
    return await _page(request, secret=secret, of=row.name)


@post("/p/{project:str}/settings/keys/{key:str}/revoke", opt=FOR_ADMINS, status_code=200)
async def revoke(request: PageRequest) -> Response[bytes]:
    api, pid, actor, which = request.api, request.project.pid, request.actor, request.path_value("key")
    at = api.clock.now()
    try:
        await request.administer(lambda tx, _: key_commands.revoke_key(tx, pid, which, actor=actor, at=at, ids=api.ids))
    except ConflictError as error:
        return await _page(request, status=409, wrong=f"{error}.")
    return to(request, f"/p/{request.project.slug}/settings/keys")


async def _page(
    request: PageRequest,
    *,
    status: int = 200,
    form: Form | None = None,
    errors: dict[str, str] | None = None,
    wrong: str = "",
    secret: str = "",
    of: str = "",
) -> Response[bytes]:
    form, now = form or Form(b"read=1&write=1"), request.api.clock.now()
    async with request.api.database.read() as read:
        rows = await queries.list_keys(
            read, request.project.pid, revoked=False, after=None, limit=key_commands.MOST_KEYS
        )
    grantable = _grantable(request.project)
    return await request.page(
        "keys.html",
        status=status,
        keys=[(key_out(row, now=now), grantable.issuperset(row.scopes)) for row in rows],
        scopes=[(scope.value, MAY[scope]) for scope in Scope if scope in grantable],
        given=form,
        lifetimes=LIFETIMES,
        overlaps=OVERLAPS,
        errors=errors or {},
        wrong=wrong,
        secret=secret,
        of=of,
    )


def _grantable(project: Membership) -> frozenset[Scope]:
    return frozenset(Scope) if project.owns else frozenset(Scope) - {Scope.ADMIN}


def one_of(value: str, known: dict[str, str], field: str) -> str:
    """A choice of a list as it was offered. InvalidValueError."""
    if value not in known:
        raise InvalidValueError(field, f"must be one of {', '.join(known.values())}")
    return value
