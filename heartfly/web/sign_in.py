"""Signing in and out, where one lands, and the files that every page is dressed with."""

from __future__ import annotations

from urllib.parse import quote

from litestar import Response, get, post

from heartfly.accounts import sessions
from heartfly.accounts.first_owner import has_users
from heartfly.accounts.second_step import passed
from heartfly.accounts.sign_in import PasswordShutError, TooManyTriesError
from heartfly.accounts.wrong_passwords import MOST
from heartfly.errors import NotFoundError, OverloadedError, UnauthenticatedError
from heartfly.web import cookie
from heartfly.web.origin import local_path
from heartfly.web.request import FOR_ALL, HTML, REQUIRED, TO_SET_UP, PageRequest
from heartfly.web.times import CARRIED

_A_YEAR = "public, max-age=31536000, immutable"
WELCOME = "done=set-up"
"""In the address of whoever has just become the first administrator."""
_NO = "The address and the password do not go together."
_SHUT = f"opens nothing since {MOST} wrong ones in a row; choose another by “Forgotten password?” where you sign in"
_PASSKEY = "Here a password alone is not enough: sign in with your passkey, by the button below."
_NO_PASSKEY = (
    "Here a password alone is not enough, and your passkey works over https only. Open Heartfly there, or ask whoever "
    "runs it for help."
)


def to(request: PageRequest, path: str, *, set_cookie: str = "", query: str = "") -> Response[bytes]:
    """Go on there, by GET. `path`: as the routes have it. A zone that was asked for goes along within the projects."""
    if request.zone_asked in CARRIED and path.startswith("/p/"):
        query += f"{'&' if query else ''}tz={request.zone_asked}"
    headers = {"Location": request.web.root + path + (f"?{query}" if query else "")}
    if set_cookie:
        headers["Set-Cookie"] = set_cookie
    return Response(b"", status_code=303, headers=headers, media_type=HTML)


@get("/")
async def home(request: PageRequest) -> Response[bytes]:
    """The first project, or that there is none."""
    if request.memberships:
        welcome = WELCOME if is_welcomed(request) else ""
        return to(request, f"/p/{request.memberships[0].slug}/checks", query=welcome)
    return await request.page("no_project.html")


def is_welcomed(request: PageRequest) -> bool:
    return request.query_params.get("done", "") == WELCOME.partition("=")[2]


@get("/static/{name:str}", opt=FOR_ALL)
async def static_file(request: PageRequest) -> Response[bytes]:
    file = request.web.files.get(request.path_value("name"))
    if file is None:
        raise NotFoundError("there is nothing at this address")
    headers = {"Cache-Control": _A_YEAR, "Vary": "Accept-Encoding"}
    if request.accepts_gzip:
        return Response(file.packed, media_type=file.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(file.content, media_type=file.media_type, headers=headers)


@get("/sign-in", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    wanted = local_path(request.query_params.get("next", "")) or ""
    if request.visitor is not None:
        return onward(request, wanted)
    if request.bound is not None:
        return to_set_up(request, wanted)
    async with request.api.database.read() as read:
        is_new = not await has_users(read)
    return await request.page("sign_in.html", wanted=wanted, email="", wrong="", most=0, is_new=is_new)


@post("/sign-in", opt=FOR_ALL, status_code=200)
async def sign_in(request: PageRequest) -> Response[bytes]:
    web, form = request.web, await request.sent()
    email, wanted = form["email"][:400], local_path(form["next"]) or ""
    try:
        known = await web.sign_in.known(email, form["password"], place=request.place)
    except UnauthenticatedError:
        return await _no(request, email, wanted)
    except OverloadedError as error:
        return await later(request, email, wanted, error)
    api, agent, had, place = web.api, request.headers.get("user-agent", ""), request.token, request.place
    now = api.clock.now()
    if known.needs_code:
        proof = passed(api.sealer, known.user_id, known.password_hash, at=now)
        return await request.page("prove.html", proof=proof, wanted=wanted, wrong="")
    if known.has_passkey and request.more_demanded:
        return await again(request, email, wanted, _PASSKEY if web.party else _NO_PASSKEY, status=403)
    more_demanded = request.more_demanded
    token = await api.database.write(
        lambda tx: sessions.begin(
            tx,
            known.user_id,
            password_hash=known.password_hash,
            ip=place,
            agent=one_line(agent),
            replaces=had,
            at=now,
            ids=api.ids,
            more_demanded=more_demanded,
        )
    )
    if token is None:
        return await _no(request, email, wanted)
    return begun(request, token, wanted)


def begun(request: PageRequest, token: str, wanted: str) -> Response[bytes]:
    """Signed in: the cookie, and on to where he wanted to go."""
    answer = onward(request, wanted)
    answer.headers["Set-Cookie"] = cookie.setting(token, is_https=request.web.is_https)
    return answer


@post("/sign-out", opt=TO_SET_UP, status_code=200)
async def sign_out(request: PageRequest) -> Response[bytes]:
    token = request.token
    await request.api.database.write(lambda tx: sessions.end_of_token(tx, token))
    return to(request, "/sign-in", set_cookie=cookie.removing(is_https=request.web.is_https))


async def _no(request: PageRequest, email: str, wanted: str) -> Response[bytes]:
    """To whoever is not let in by a password: that is all that he learns whose password is shut, too, for who guesses
    at it must learn nothing more.
    """
    return await again(request, email, wanted, _NO, status=422, most=MOST)


async def again(
    request: PageRequest, email: str, wanted: str, wrong: str, *, status: int, most: int = 0
) -> Response[bytes]:
    """The page of the first step, with what is wrong. `most`: after so many wrong passwords the right one is, too."""
    return await request.page(
        "sign_in.html", status=status, wanted=wanted, email=email, wrong=wrong, most=most, is_new=False
    )


def no_password(error: UnauthenticatedError) -> str:
    """To who is signed in, of the field in which he has typed his password once more."""
    return _SHUT if isinstance(error, PasswordShutError) else "is wrong"


async def later(request: PageRequest, email: str, wanted: str, error: OverloadedError) -> Response[bytes]:
    """The page of the first step, and how long to wait."""
    many = isinstance(error, TooManyTriesError)
    what = "Too many tries." if many else "Too many people sign in at this moment."
    wrong = f"{what} Wait {error.retry_after} seconds, then try again."
    answer = await again(request, email, wanted, wrong, status=429 if many else 503)
    answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def to_set_up(request: PageRequest, wanted: str) -> Response[bytes]:
    """To the page on which who has only a password, where more is demanded, sets that up."""
    return to(request, REQUIRED, query=f"next={quote(wanted, safe='')}" if wanted else "")


def onward(request: PageRequest, wanted: str) -> Response[bytes]:
    """To where he wanted to go, or home."""
    if not wanted:
        return to(request, "/")
    return Response(b"", status_code=303, headers={"Location": wanted}, media_type=HTML)


def one_line(agent: str) -> str:
    """What a browser calls itself, as it is stored."""
    return "".join(char if char.isprintable() else "?" for char in agent)


def checks_path(slug: str) -> str:
    return f"/p/{quote(slug, safe='')}/checks"
