"""The stream that keeps an open page true: rows as the list shows them, how many checks are in which status, and the
instant up to which that is all. One for each browser (live.js), in server-sent events.

It ends with the session, with the membership, and as soon as the process wants to stop; it is no use of the session,
so that a forgotten tab does not keep one alive. What changed is feed.py's.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar import Response, get
from litestar.response import Stream
from sqlalchemy.exc import SQLAlchemyError

from heartfly import __version__
from heartfly.accounts.sessions import Membership
from heartfly.errors import HeartflyError, TooManyRequestsError
from heartfly.web import late
from heartfly.web.checks import lines_of
from heartfly.web.feed import Event, Feed, Feeds, first_of
from heartfly.web.request import PageRequest
from heartfly.web.times import Times, lasted

PER_USER = 12
"""Streams of one user with this process: as many browsers, or windows of one that cannot share."""
TICK_S = 9.0
"""So often at least a browser hears that nothing happened, and we ask whether it may still hear us."""
TRUST_S = 5.0
"""So long we believe, while much happens, that it may."""
AGAIN_MS = 2_000
"""After how long a browser whose stream broke off comes again."""

_BREAK = re.compile(r"\r\n|\r|\n")


@get("/p/{project:str}/live", media_type="text/event-stream")
async def stream(request: PageRequest) -> Response[Any]:
    feeds, user_id = request.web.feeds, request.who.user_id
    if feeds.streams[user_id] >= PER_USER:
        raise TooManyRequestsError(f"you have {PER_USER} live pages open; close some of them", retry_after=60)
    request.scope["web_stream"] = True  # type: ignore[typeddict-unknown-key] # its length is no measure of our speed
    if request.scope.get("web_is_head"):
        return Response(b"", media_type="text/event-stream")
    taken = _Place(feeds, user_id)  # before anything is waited for: many that come at once must not all find room
    try:
        feed = await feeds.open(request.project.pid)
    except BaseException:
        taken.give_back()
        raise
    after = request.headers.get("last-event-id") or request.query_params.get("after") or ""
    # Proxies that buffer answers would hold back an event until more come.
    headers = {"X-Accel-Buffering": "no"}
    return Stream(_stream(request, feed, after, taken), media_type="text/event-stream", headers=headers)


class _Place:
    """One of the streams that a user may have. Given back once: by hand, or with the last that knows it, as an answer
    whose reader has gone may never begin to be streamed.
    """

    def __init__(self, feeds: Feeds, user_id: int) -> None:
        feeds.streams[user_id] += 1
        self.give_back = weakref.finalize(self, _give_back, feeds, user_id)


def _give_back(feeds: Feeds, user_id: int) -> None:
    feeds.streams[user_id] -= 1
    if not feeds.streams[user_id]:
        del feeds.streams[user_id]


async def _stream(request: PageRequest, feed: Feed, after: str, taken: _Place) -> AsyncIterator[bytes]:
    feed.n_watching += 1
    try:
        with feed.audience.listening(request.token):
            async for piece in _pieces(request, feed, after):
                yield piece
    finally:
        feed.n_watching -= 1
        feed.wanted_at = request.api.clock.monotonic()
        taken.give_back()


async def _pieces(request: PageRequest, feed: Feed, after: str) -> AsyncIterator[bytes]:
    clock, stop = request.api.clock, request.web.feeds.stop
    place = feed.place_of(after)
    yield b"retry: %d\n" % AGAIN_MS + _event("hello", __version__)
    if place is None:
        place = feed.n
        yield _event("resync", mark=feed.mark)
    believed_at = clock.monotonic()
    project: Membership | None = request.project
    yield _tick(request, feed, place)
    while not stop.is_set():
        await first_of(stop.wait(), feed.news(place), clock.sleep(TICK_S))
        if stop.is_set():
            break
        if clock.monotonic() - believed_at >= TRUST_S:
            project = await _still(request, feed)
            believed_at = clock.monotonic()
        if project is None:
            yield _event("end")
            return
        events = feed.after(place)
        place = feed.n
        if events is None:
            yield _event("resync", mark=feed.mark)
        elif events:
            yield await _told(request, feed, events, project)
        yield _tick(request, feed, place)
    yield _event("bye")


async def _still(request: PageRequest, feed: Feed) -> Membership | None:
    """The project, if who listens may still see it. While we cannot ask, he hears nothing that is new to him."""
    try:
        return await feed.audience.still(request.token, more_demanded=request.more_demanded)
    except (HeartflyError, SQLAlchemyError):
        return None  # he comes again, and is asked who he is


async def _told(request: PageRequest, feed: Feed, events: Sequence[Event], project: Membership) -> bytes:
    if any(event.kind == "resync" for event in events):
        return _event("resync", mark=feed.mark_at(events[-1].n))
    now = request.api.clock.now()
    # Of what is told at once only the newest of a check matters; in order, for whoever hears but a part comes again.
    newest: dict[str, Event] = {}
    for event in events:
        newest.pop(event.uuid or event.kind, None)
        newest[event.uuid or event.kind] = event
    changed = [event.row for event in newest.values() if event.kind == "row"]
    lines: Sequence[Any] = ()
    if changed:
        async with request.api.database.read() as read:
            lines = await lines_of(read, request.web.recent, project.pid, changed, now=now)
    context = {"project": project, "t": Times(now, request.who.zone), "lasted": lasted}
    rows = iter(await request.web.renderer.rows(lines, context) if lines else ())
    return b"".join(
        _event(event.kind, next(rows) if event.kind == "row" else _data(event), mark=feed.mark_at(event.n))
        for event in newest.values()
    )


def _data(event: Event) -> str:
    if event.counts is not None:
        return " ".join(f"{word}={n}" for word, n in event.counts.items())
    return f"c-{event.uuid[:8]}" if event.uuid else ""


def _tick(request: PageRequest, feed: Feed, place: int) -> bytes:
    """Until when all is told, a line each: its age in seconds; for people in their zone; and, while silence is
    judged late, up to when it is.
    """
    assert feed.as_of is not None
    age = max(0, int((request.api.clock.now() - feed.as_of).total_seconds()))
    times = Times(feed.as_of, request.who.zone)
    judged = late.until(request, request.who.zone)
    said = [str(age), f"{times.clock_of(feed.as_of)} {times.zone}", *([judged] if judged else [])]
    return _event("tick", "\n".join(said), mark=feed.mark_at(place))


def _event(kind: str, data: str = "", *, mark: str = "") -> bytes:
    """One event. A line break in `data` begins another line of it, as the format wants."""
    lines = [f"data: {piece}" for piece in _BREAK.split(data)]
    return "\n".join([*([f"id: {mark}"] if mark else []), f"event: {kind}", *lines, "", ""]).encode(errors="replace")
