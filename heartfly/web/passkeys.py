"""Passkeys: signing in by one, and the page on which people make, name and remove theirs.

The browser's half is passkey.js: it asks here what is to be signed, and puts the answer into a form like any other.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, post

from heartfly.accounts import passkeys, relying_party, sessions
from heartfly.accounts.factors import LastFactorError
from heartfly.accounts.letters import FactorChange
from heartfly.accounts.relying_party import Party
from heartfly.accounts.sign_in import TooManyTriesError
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, InvalidValueError, NotFoundError
from heartfly.sealing import digest
from heartfly.web.factors import go_on_by, tell, where_next
from heartfly.web.origin import local_path
from heartfly.web.request import FOR_ALL, OF_ONESELF, TO_SET_UP, PageRequest
from heartfly.web.second_step import wrong_password
from heartfly.web.sign_in import again, begun, later, one_line, onward, to

HERE = "/account/security/passkeys"
_NO = "That passkey opens nothing here. Try again, or use your password."


@get("/sign-in/passkey", opt=FOR_ALL)
async def ask(request: PageRequest) -> Response[Any]:
    """What a passkey is to sign, for who is not known yet."""
    api = request.api
    return _as_json(relying_party.to_show(_party(request), api.sealer, at=api.clock.now()))


@post("/sign-in/passkey", opt=FOR_ALL, status_code=200)
async def sign_in(request: PageRequest) -> Response[bytes]:
    web, api, form, now = request.web, request.api, await request.sent(), request.api.clock.now()
    wanted, answer, place, had = local_path(form["next"]) or "", form["credential"], request.place, request.token
    party, credential = web.party, relying_party.credential_in(form["credential"])
    which = digest(credential)  # what is remembered of a try is as short as any, however long a name somebody makes up
    try:
        web.sign_in.passkeys.begin(which, place, api.clock.monotonic())
    except TooManyTriesError as error:
        return await later(request, "", wanted, error)
    asked = relying_party.open_challenge(api.sealer, form["proof"], user_id=0, now=now)
    async with api.database.read() as read:
        known = await passkeys.passkey_of(read, credential)
    if party is None or asked is None or known is None:
        return await _no(request, wanted)
    agent = one_line(request.headers.get("user-agent", ""))
    try:
        n_uses = relying_party.shown(
            party, asked, answer, user_id=known.user_id, public_key=known.public_key, n_uses=known.n_uses
        )
    except InvalidValueError:
        return await _no(request, wanted)
    token = await api.database.write(
        lambda tx: passkeys.begin_by_passkey(
            tx, known.id, asked, n_uses=n_uses, ip=place, agent=agent, replaces=had, at=now, ids=api.ids
        )
    )
    if token is None:
        return await _no(request, wanted)
    web.sign_in.passkeys.forgive(which, place)
    return begun(request, token, wanted)


@get(HERE, opt=TO_SET_UP)
async def show(request: PageRequest) -> Response[bytes]:
    return await _page(request)


@get("/account/security/passkeys/new", opt=TO_SET_UP)
async def ask_for_new(request: PageRequest) -> Response[Any]:
    api, who, party = request.api, request.who, _party(request)
    async with api.database.read() as read:
        known = [row.credential for row in await passkeys.list_passkeys(read, who.user_id)]
    return _as_json(
        relying_party.to_make(
            party, api.sealer, who.user_id, email=who.email, name=who.name, known=known, at=api.clock.now()
        )
    )


@post(HERE, opt=TO_SET_UP, status_code=200)
async def add(request: PageRequest) -> Response[bytes]:
    """With the password: who finds an open browser must not make himself a way back in."""
    api, who, actor, form, now = request.api, request.who, request.actor, await request.sent(), request.api.clock.now()
    if (wrong := await wrong_password(request)) is not None:
        return await _page(request, *wrong)
    asked = relying_party.open_challenge(api.sealer, form["proof"], user_id=who.user_id, now=now)
    if asked is None:
        return await _page(request, 422, errors={"": "that took too long; try again"})
    try:
        made = relying_party.made(_party(request), asked, form["credential"])
        first = request.bound is not None

        def work(tx: Tx) -> str:
            passkeys.add_passkey(
                tx, who.user_id, made, name=form["name"], actor=actor, at=now, ids=api.ids, first=first
            )
            if first:  # of two who have the password the one who comes first stays, and the other is noticed
                sessions.revoke_others(tx, who.user_id, who.id)
                return sessions.renew(tx, who.id)
            return ""

        token = await request.write_of_oneself(work)
    except InvalidValueError as error:
        errors = {error.field: error.message} if error.field == "name" else {"": f"the passkey {error.message}"}
        return await _page(request, 422, errors=errors)
    except ConflictError as error:
        return await _page(request, 409, errors={"": str(error)})
    tell(request, FactorChange.PASSKEY_ADDED)
    if not first:
        return to(request, HERE)
    answer = onward(request, await where_next(request))
    answer.headers.update(go_on_by(request, token))
    return answer


@post("/account/security/passkeys/{passkey:str}/rename", opt=OF_ONESELF, status_code=200)
async def rename(request: PageRequest) -> Response[bytes]:
    api, who, actor, form, now = request.api, request.who, request.actor, await request.sent(), request.api.clock.now()
    which = request.path_value("passkey")
    try:
        await api.database.write(
            lambda tx: passkeys.rename_passkey(
                tx, who.user_id, which, name=form["name"], actor=actor, at=now, ids=api.ids
            )
        )
    except InvalidValueError as error:
        return await _page(request, 422, errors={f"name-{which}": error.message})
    return to(request, HERE)


@post("/account/security/passkeys/{passkey:str}/remove", opt=OF_ONESELF, status_code=200)
async def remove(request: PageRequest) -> Response[bytes]:
    """Without a password: whoever takes one away gains nothing, and who lost a device is in a hurry."""
    api, mine, actor, now = request.api, request.who.user_id, request.actor, request.api.clock.now()
    which, more = request.path_value("passkey"), request.more_demanded
    try:
        await api.database.write(
            lambda tx: passkeys.remove_passkey(tx, mine, which, actor=actor, at=now, ids=api.ids, more_demanded=more)
        )
    except LastFactorError as error:
        return await _page(request, 409, errors={"": str(error)})
    tell(request, FactorChange.PASSKEY_REMOVED)
    return to(request, HERE)


async def _page(
    request: PageRequest, status: int = 200, headers: dict[str, str] | None = None, errors: dict[str, str] | None = None
) -> Response[bytes]:
    async with request.api.database.read() as read:
        found = await passkeys.list_passkeys(read, request.who.user_id)
    sent = await request.sent()
    answer = await request.page(
        "passkeys.html",
        status=status,
        passkeys=found,
        name=sent["name"],
        wanted=await where_next(request),
        errors=errors or {},
        is_full=len(found) >= passkeys.MOST,
        longest=passkeys.LONGEST_NAME,
    )
    answer.headers.update(headers or {})
    return answer


async def _no(request: PageRequest, wanted: str) -> Response[bytes]:
    return await again(request, "", wanted, _NO, status=422)


def _party(request: PageRequest) -> Party:
    party = request.web.party
    if party is None:
        raise NotFoundError("browsers know passkeys over https only, at a site that has a name")
    return party


def _as_json(told: dict[str, Any]) -> Response[bytes]:
    return Response(msgspec.json.encode(told), media_type="application/json")
