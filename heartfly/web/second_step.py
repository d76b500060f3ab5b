"""The second step: asked for at sign-in, set up with a QR code, switched on and off with the password.

The first step's outcome travels in the form, sealed; nobody is signed in before the code has counted.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import segno
from litestar import Response, get, post
from markupsafe import Markup

from heartfly.accounts import second_step, sessions
from heartfly.accounts.factors import LastFactorError
from heartfly.accounts.letters import FactorChange
from heartfly.accounts.sign_in import TooManyTriesError
from heartfly.core import totp
from heartfly.db.changes import Tx
from heartfly.errors import ConflictError, InvalidValueError, UnauthenticatedError
from heartfly.web.factors import go_on_by, tell, where_next
from heartfly.web.origin import local_path
from heartfly.web.request import FOR_ALL, OF_ONESELF, TO_SET_UP, PageRequest
from heartfly.web.sign_in import begun, no_password, one_line, to
from heartfly.web.times import lasted

HERE = "/account/security/2fa"


@get("/sign-in/2fa", opt=FOR_ALL)
async def begin_anew(request: PageRequest) -> Response[bytes]:
    """What the first step proved stands in a form, so who comes by an address begins with the first."""
    return to(request, "/sign-in")


@post("/sign-in/2fa", opt=FOR_ALL, status_code=200)
async def prove(request: PageRequest) -> Response[bytes]:
    web, api, form, now = request.web, request.api, await request.sent(), request.api.clock.now()
    wanted, proof = local_path(form["next"]) or "", form["proof"]
    first = second_step.open_passed(api.sealer, proof, now=now)
    if first is None:
        return await _asked(request, proof="", wanted=wanted, wrong="That took too long. Sign in again.", status=403)
    # Of this password: whoever has the one of before does not keep its owner out, once there is another.
    who, place, had = f"{first.user_id} {first.password}", request.place, request.token
    agent = one_line(request.headers.get("user-agent", ""))
    try:
        for tries in (web.sign_in.codes, web.sign_in.codes_of_day):
            tries.begin(who, place, api.clock.monotonic())
        token = await api.database.write(
            lambda tx: second_step.begin_by_code(
                tx, first, form["code"], sealer=api.sealer, ip=place, agent=agent, replaces=had, at=now, ids=api.ids
            )
        )
    except InvalidValueError as error:
        wrong = f"The code {error.message}."
        return await _asked(request, proof=proof, wanted=wanted, wrong=wrong, status=422)
    except TooManyTriesError as error:
        wrong = f"Too many tries. Wait {lasted(error.retry_after * 1_000_000)}, then try again."
        answer = await _asked(request, proof=proof, wanted=wanted, wrong=wrong, status=429, too_many=True)
        answer.headers["Retry-After"] = str(error.retry_after)
        return answer
    if token is None:
        return await _asked(request, proof="", wanted=wanted, wrong="Sign in again.", status=403)
    for tries in (web.sign_in.codes, web.sign_in.codes_of_day):
        tries.forgive(who, place)
    return begun(request, token, wanted)


@get(HERE, opt=TO_SET_UP)
async def show(request: PageRequest) -> Response[bytes]:
    """What there is; and what is to be read by an app, if there is nothing, or another app is to take its place."""
    api, who = request.api, request.who
    async with api.database.read() as read:
        found = await second_step.second_step_of(read, who.user_id)
    if found.since is not None and request.query_params.get("app", "") != "new":
        return await _page(request, status=200, errors={})
    plan, secret = second_step.planned(api.sealer, who.user_id, at=api.clock.now())
    return await _planning(request, plan, secret)


@post(HERE, opt=TO_SET_UP, status_code=200)
async def switch_on(request: PageRequest) -> Response[bytes]:
    """Whoever is signed in elsewhere is out: he may have come with the password alone, or with the app that goes."""
    api, who, actor, form = request.api, request.who, request.actor, await request.sent()
    now = api.clock.now()
    secret = second_step.open_planned(api.sealer, form["plan"], user_id=who.user_id, now=now)
    if secret is None:
        return _anew(request, await where_next(request))  # too old: another one is shown
    if (wrong := await wrong_password(request)) is not None:
        status, headers, errors = wrong
        answer = await _planning(request, form["plan"], secret, status=status, errors=errors)
        answer.headers.update(headers)
        return answer

    first, replaces = request.bound is not None, form["replaces"] == "1"

    def work(tx: Tx) -> tuple[list[str], str]:
        codes = second_step.switch_on(
            tx,
            who.user_id,
            secret,
            form["code"],
            sealer=api.sealer,
            actor=actor,
            at=now,
            ids=api.ids,
            first=first,
            replaces=replaces,
        )
        sessions.revoke_others(tx, who.user_id, who.id)
        return codes, sessions.renew(tx, who.id)

    try:
        codes, token = await request.write_of_oneself(work)
    except InvalidValueError as error:
        return await _planning(request, form["plan"], secret, status=422, errors={error.field: error.message})
    except ConflictError:
        return _anew(request, "")
    tell(request, FactorChange.CODE_REPLACED if replaces else FactorChange.CODE_ON)
    headers = go_on_by(request, token)
    answer = await _with_codes(request, codes)
    answer.headers.update(headers)
    return answer


@post("/account/security/2fa/codes", opt=OF_ONESELF, status_code=200)
async def renew_codes(request: PageRequest) -> Response[bytes]:
    if (refused := await _refused(request)) is not None:
        return refused
    api, mine, actor, now = request.api, request.who.user_id, request.actor, request.api.clock.now()
    codes = await request.write_of_oneself(
        lambda tx: second_step.renew_codes(tx, mine, actor=actor, at=now, ids=api.ids)
    )
    tell(request, FactorChange.BACKUP_CODES)
    return await _with_codes(request, codes)


@post("/account/security/2fa/off", opt=OF_ONESELF, status_code=200)
async def switch_off(request: PageRequest) -> Response[bytes]:
    if (refused := await _refused(request)) is not None:
        return refused
    api, mine, actor, now = request.api, request.who.user_id, request.actor, request.api.clock.now()
    more = request.more_demanded
    try:
        was_on = await request.write_of_oneself(
            lambda tx: second_step.switch_off(tx, mine, actor=actor, at=now, ids=api.ids, more_demanded=more)
        )
    except LastFactorError as error:
        return await _page(request, status=409, errors={"": str(error)})
    if was_on:
        tell(request, FactorChange.CODE_OFF)
    return to(request, "/account/security")


async def _refused(request: PageRequest) -> Response[bytes] | None:
    """The answer, unless his password was sent along."""
    if (wrong := await wrong_password(request)) is None:
        return None
    status, headers, errors = wrong
    answer = await _page(request, status=status, errors=errors)
    answer.headers.update(headers)
    return answer


async def wrong_password(request: PageRequest) -> tuple[int, dict[str, str], dict[str, str]] | None:
    """Status, headers and errors, unless his password was sent along: who finds an open browser must neither take the
    second step away nor make it his own.
    """
    try:
        password = (await request.sent())["password"]
        await request.web.sign_in.known(request.who.email, password, place=request.place)
    except UnauthenticatedError as error:
        return 422, {}, {"password": no_password(error)}
    except TooManyTriesError as error:
        wait = f"was wrong too often; wait {error.retry_after} seconds"
        return 429, {"Retry-After": str(error.retry_after)}, {"password": wait}
    return None


async def _page(request: PageRequest, *, status: int, errors: dict[str, str]) -> Response[bytes]:
    async with request.api.database.read() as read:
        found = await second_step.second_step_of(read, request.who.user_id)
    if found.since is None:
        return to(request, HERE)
    return await request.page("two_factor.html", status=status, step=found, codes=[], plan="", wanted="", errors=errors)


async def _with_codes(request: PageRequest, codes: list[str]) -> Response[bytes]:
    async with request.api.database.read() as read:
        found = await second_step.second_step_of(read, request.who.user_id)
    onward = await where_next(request)
    return await request.page("two_factor.html", status=201, step=found, codes=codes, plan="", wanted=onward, errors={})


async def _planning(
    request: PageRequest, plan: str, secret: bytes, *, status: int = 200, errors: dict[str, str] | None = None
) -> Response[bytes]:
    host = urlsplit(request.api.base_url).hostname or ""
    address = totp.address(secret, issuer="Heartfly", account=f"{request.who.email}@{host}")
    return await request.page(
        "two_factor.html",
        status=status,
        step=second_step.SecondStep(None, 0),
        codes=[],
        plan=plan,
        replaces=request.query_params.get("app", "") == "new" or (await request.sent())["replaces"] == "1",
        wanted=await where_next(request),
        secret=totp.spelled(secret),
        address=address,
        qr=_drawn(address),
        errors=errors or {},
    )


def _anew(request: PageRequest, onward: str) -> Response[bytes]:
    return to(request, HERE, query=f"next={quote(onward, safe='')}" if onward else "")


def _drawn(address: str) -> Markup:
    """As SVG, dark on white whatever the page's colours: cameras read nothing else as surely."""
    made = segno.make_qr(address, error="m").svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
    )
    return Markup(made)  # noqa: S704 - drawn by the library: shapes, and nothing of the text


async def _asked(
    request: PageRequest, *, proof: str, wanted: str, wrong: str, status: int, too_many: bool = False
) -> Response[bytes]:
    return await request.page("prove.html", status=status, proof=proof, wanted=wanted, wrong=wrong, too_many=too_many)
