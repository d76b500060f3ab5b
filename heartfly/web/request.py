"""A request for a page: who is signed in, in which project and as what, and the form that was sent.

The guard here runs before every handler: without a word to the contrary a page is for people who are signed in, a page
of a project for its members, and whatever is sent or only writers need for those who may write. Nobody can forget it.
Where more than a password is demanded, who has nothing more yet is nobody, but on the pages on which he sets it up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, quote

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import State, UploadFile
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.handlers.base import BaseRouteHandler

from heartfly.accounts.queries import operates
from heartfly.accounts.rights import demand_administrator
from heartfly.accounts.sessions import (
    EVERY,
    Membership,
    Session,
    SessionEndedError,
    demand_alive,
    memberships_of,
    seen,
    session_of,
)
from heartfly.api.state import ApiState
from heartfly.audit.record import Actor
from heartfly.db.changes import Tx
from heartfly.db.group_commit import Priority
from heartfly.errors import ForbiddenError, HeartflyError, InvalidValueError, NotFoundError
from heartfly.logs import logger
from heartfly.vitals.late import judged_until
from heartfly.web import cookie, origin, refresh
from heartfly.web.form_parts import are_utf8
from heartfly.web.marks import Marks, marks_of
from heartfly.web.state import WebState
from heartfly.web.times import Times, Zones, lasted

log = logger("heartfly.web")

Result = TypeVar("Result")

FOR_ALL = {"for_all": True}
"""Also for who is not signed in."""
FROM_ANYWHERE = {"for_all": True, "from_anywhere": True}
"""The same, and programs that are no browser may send it, which come from no page: its address says all that may be."""
FOR_WRITERS = {"for_writers": True}
"""A page that only those need who may change something."""
FOR_ADMINS = {"for_admins": True}
"""Only for owners and administrators."""
FOR_OWNERS = {"for_owners": True}
FOR_OPERATORS = {"for_operators": True}
"""About the whole installation: only for who owns the first project."""
OF_ONESELF = {"of_oneself": True}
"""What is sent changes nothing of a project's."""
TO_SET_UP = {"of_oneself": True, "to_set_up": True}
"""The same, and also for who has only a password, where more is demanded of him."""

REQUIRED = "/account/security/required"
"""The page on which he learns why, and begins."""

HTML = "text/html"
_MOST_FIELDS = 1_100
"""A list shows up to 1,000 checks, each with a box to tick."""
_FORM = "application/x-www-form-urlencoded"
_MOST_FORM = 64 * 1024
"""Of one that sends no file along: to take it apart is the event loop's work. What may be larger comes in parts."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def rev_of_form(text: str) -> int:
    """The revision that a form was made from. One that is none of ours is of no revision that there ever was."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


class SignInNeededError(HeartflyError):
    """Nobody is signed in. `path`: where he wanted to go; empty when it was something to send."""

    def __init__(self, path: str) -> None:
        super().__init__("sign in first")
        self.path = path


class FactorNeededError(HeartflyError):
    """Who is signed in has only a password, and more is demanded. `path`: as of SignInNeededError."""

    def __init__(self, path: str) -> None:
        super().__init__("set up a second step or a passkey first")
        self.path = path


class Form:
    """The fields as they were sent, each as text; one that was not sent is empty."""

    def __init__(self, raw: bytes = b"") -> None:
        try:
            pairs = parse_qsl(
                raw.decode("utf-8", "replace"), keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS
            )
        except ValueError:
            raise InvalidValueError("", "the form has too many fields") from None
        self._keep(pairs)

    @classmethod
    def of(cls, pairs: list[tuple[str, str]]) -> Form:
        form = cls()
        form._keep(pairs)
        return form

    def _keep(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._values: dict[str, str] = dict(reversed(pairs))

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, "")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def many(self, name: str) -> list[str]:
        """Every value that was sent under this name, such as the boxes that are ticked."""
        return [value for one, value in self._pairs if one == name]


STATE = "heartfly.web"
"""In the scope of each request: what it is answered from."""
REQUEST_ID = "heartfly.request_id"
"""The same: what leads from its answer to its lines in the log."""


def _is_multipart(request: Request[Any, Any, Any]) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"


class PageRequest(Request[None, None, State]):
    @property
    def web(self) -> WebState:
        state: WebState = cast("dict[str, Any]", self.scope)[STATE]
        return state

    @property
    def api(self) -> ApiState:
        return self.web.api

    @property
    def place(self) -> str:
        """Where it comes from, by the peer and the proxies that are trusted."""
        return self.api.client_address(self.scope)[0]

    @property
    def token(self) -> str:
        renewed: str = self.scope.get("web_token", "")  # type: ignore[assignment] # our own
        return renewed or cookie.token_in(self.headers.get("cookie", ""), is_https=self.web.is_https)

    @property
    def visitor(self) -> Session | None:
        """Of a page that is for all: who is signed in, if anybody is."""
        session: Session | None = self.scope.get("web_session")  # type: ignore[assignment] # our own
        return session

    @property
    def bound(self) -> Session | None:
        """Who has only a password where more is demanded: elsewhere than on the pages to set that up he is nobody."""
        session: Session | None = self.scope.get("web_bound")  # type: ignore[assignment] # our own
        return session

    @property
    def more_demanded(self) -> bool:
        """Than a password, of everybody."""
        return self.api.settings.accounts.demands_more

    @property
    def who(self) -> Session:
        session: Session = self.scope["web_session"]  # type: ignore[typeddict-item] # our own
        return session

    @property
    def memberships(self) -> list[Membership]:
        found: list[Membership] = self.scope.get("web_memberships", [])  # type: ignore[assignment] # our own
        return found

    @property
    def project(self) -> Membership:
        membership: Membership = self.scope["web_project"]  # type: ignore[typeddict-item] # our own
        return membership

    @property
    def actor(self) -> Actor:
        """Who will have changed what this request changes."""
        return Actor(f"user:{self.who.email}", self.place or None)

    def zones(self, of_check: str | None = None) -> Zones:
        """In which the page can tell times, and does. `of_check`: that of the check that it shows."""
        own = getattr(self.scope.get("web_session"), "zone", "UTC")
        return Zones(own, of_check, asked=self.zone_asked)

    @property
    def zone_asked(self) -> str:
        """By `?tz=`; empty: by nothing."""
        return dict(self._query).get("tz", "")

    @property
    def _query(self) -> list[tuple[str, str]]:
        return parse_qsl(self._query_text)

    @property
    def _query_text(self) -> str:
        return self.scope["query_string"].decode("latin-1")

    @property
    def is_by_itself(self) -> bool:
        """An open page asks, nobody has done anything: no use of the session."""
        return "x-heartfly-live" in self.headers or self.scope["path"].endswith("/live")

    @property
    def accepts_gzip(self) -> bool:
        return "gzip" in self.headers.get("accept-encoding", "")

    async def live_mark(self) -> str:
        """The place in the project's changes of a page that is read after this call."""
        return await self.web.feeds.mark(self.project.pid)

    def path_value(self, name: str) -> str:
        return str(self.path_params[name])

    async def sent(self) -> Form:
        if _is_multipart(self):
            return Form.of([(name, value) for name, value in await self._parts() if isinstance(value, str)])
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return Form()
        raw = await self.body()
        if len(raw) > _MOST_FORM:
            raise RequestEntityTooLarge(detail=f"The form is larger than {_MOST_FORM // 1024} KiB.")
        return Form(raw)

    async def sent_file(self, name: str) -> bytes:
        """Of a form that sends files along. Empty: none was chosen."""
        for field, value in await self._parts():
            if field == name and isinstance(value, UploadFile):
                await value.seek(0)
                return await value.read()
        return b""

    async def _parts(self) -> list[tuple[str, Any]]:
        if not _is_multipart(self):
            return []
        if not are_utf8(await self.body(), self.content_type[1].get("boundary", "")):
            raise InvalidValueError("", "the form is no text in UTF-8")
        try:
            parts = list((await self.form()).multi_items())
        except (UnicodeError, LookupError):
            raise InvalidValueError("", "the form is no text in UTF-8") from None
        if len(parts) > _MOST_FIELDS:
            raise InvalidValueError("", "the form has too many fields")
        return parts

    async def administer(self, work: Callable[[Tx, Membership], Result], *, owner: bool = False) -> Result:
        """Write what only those may who administer the project (or own it), asked once more in the transaction itself.

        `work` is given what he is then.
        """
        project, user_id = self.project, self.who.user_id
        return await self.api.database.write(
            lambda tx: work(tx, demand_administrator(tx, project, user_id, owner=owner))
        )

    async def write_of_oneself(self, work: Callable[[Tx], Result]) -> Result:
        """Write what opens or shuts the account of who is signed in, if he still is: asked in the transaction itself.

        Between this and the guard a password was hashed, and he may have been put out.
        """
        who = self.who

        def asked(tx: Tx) -> Result:
            demand_alive(tx, who.user_id, who.id)
            return work(tx)

        try:
            return await self.api.database.write(asked)
        except SessionEndedError:
            raise SignInNeededError("") from None

    async def _marks(self) -> Marks:
        project: Membership | None = self.scope.get("web_project")  # type: ignore[assignment] # our own
        if project is None:
            return Marks()
        async with self.api.database.read() as read:
            return await marks_of(read, project.pid)

    async def page(self, template: str, *, status: int = 200, **context: Any) -> Response[bytes]:
        """A page of the house, with what every template may ask for. `check_zone`: that of the check that it shows."""
        who = self.scope.get("web_session")
        zones = self.zones(context.get("check_zone"))
        here = self.web.root + quote(self.scope["path"], safe="/")
        known: dict[str, Any] = {
            "me": who,
            "is_bound": self.bound is not None,
            "project": self.scope.get("web_project"),
            "projects": self.memberships,
            "marks": await self._marks(),
            "form_token": origin.form_token(self.token) if who is not None else "",
            "t": Times(self.api.clock.now(), zones.shown),
            "zones": zones.choices(here, self._query),
            "refresh": refresh.offered(here, self._query, refresh.seconds_in(self._query_text)),
            "single_keys": cookie.has_keys(self.headers.get("cookie", ""), is_https=self.web.is_https),
            "lasted": lasted,
            "late": judged_until(self.web.facts()),
            "path": self.scope["path"],
            "is_https": self.web.is_https,
            "party": self.web.party,
        }
        made, is_packed = await self.web.renderer.page(
            template, known | context, pack=self.accepts_gzip, zone=self.zone_asked
        )
        headers = {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if is_packed else {})
        return Response(made, status_code=status, media_type=HTML, headers=headers)


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises what stands between this request and its page; else leaves the session and the project in the scope."""
    assert isinstance(connection, PageRequest)
    request, opt = connection, handler.opt
    is_sent = request.scope["method"] not in _READING
    by_program = bool(opt.get("from_anywhere")) and not {"origin", "sec-fetch-site"} & set(request.headers)
    if is_sent and not by_program and not origin.is_ours(request.headers, request.api.base_url):
        raise ForbiddenError(
            "this form was not sent from a page of this Heartfly; open the page here, and send it again"
        )
    if is_sent and request.token:
        await request.body()  # all of it first: who sends slowly has the rights that he has at the end
    session = await _signed_in(request)
    is_bound = session is not None and request.more_demanded and not session.has_factor
    if is_bound:
        request.scope["web_bound"] = session  # type: ignore[typeddict-unknown-key]
        request.scope["web_memberships"] = []  # type: ignore[typeddict-unknown-key]
        session = session if opt.get("to_set_up") else None
    request.scope["web_session"] = session  # type: ignore[typeddict-unknown-key]
    if opt.get("for_all"):
        return
    if session is None:
        wanted = "" if is_sent else _asked(request)
        raise FactorNeededError(wanted) if is_bound else SignInNeededError(wanted)
    if is_sent and not origin.is_form_token((await request.sent())["form_token"], request.token):
        raise ForbiddenError("this form is of another session; open the page again, and send it anew")
    _demand(request, writes=bool(opt.get("for_writers")) or (is_sent and not opt.get("of_oneself")))
    if opt.get("for_admins") and not request.project.administers:
        raise ForbiddenError("only owners and administrators of this project may do that; ask one of them")
    if opt.get("for_owners") and not request.project.owns:
        raise ForbiddenError("only an owner of this project may do that; ask one of them")
    if opt.get("for_operators"):
        async with request.api.database.read() as read:
            if not await operates(read, session.user_id):
                raise ForbiddenError("only owners of the first project may see that; ask one of them")


async def _signed_in(request: PageRequest) -> Session | None:
    token = request.token
    if not token:
        return None
    api = request.api
    now = api.clock.now()
    async with api.database.read() as read:
        session = await session_of(read, token, now=now)
        if session is None:
            return None
        request.scope["web_memberships"] = await memberships_of(read, session.user_id)  # type: ignore[typeddict-unknown-key]
    if now - session.seen_at >= EVERY and not request.is_by_itself:
        try:
            await api.database.write(lambda tx: seen(tx, session.id, at=now), priority=Priority.BULK)
        except HeartflyError as error:
            log.warning("session_seen", error=str(error))  # the page is served all the same
    return session


def _demand(request: PageRequest, *, writes: bool) -> None:
    slug = request.path_params.get("project")
    if slug is None:
        return
    project = next((one for one in request.memberships if one.slug == slug), None)
    if project is None:
        raise NotFoundError("there is nothing at this address")
    request.scope["web_project"] = project  # type: ignore[typeddict-unknown-key]
    if writes and not project.may_write:
        raise ForbiddenError("you may look at this project, but not change it; ask one of its owners")


def _asked(request: PageRequest) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return (
        request.web.root + quote(request.scope["path"], safe="/") + (f"?{quote(query, safe='=&%+')}" if query else "")
    )
