"""Event hooks of httpx, and of httpx2, which OpenAI's and Anthropic's clients have: the same for both kinds of client.

An answer's bytes are looked at as they pass, when somebody reads them: nothing is read that the program does not read.
A request that got no answer is told of as soon as the program has let go of it.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from heartfly_client.calls.bodies import Body
from heartfly_client.calls.call import Call
from heartfly_client.calls.http import REDIRECTS, head_of, hear, may_name_model, model_sent
from heartfly_client.sender.times import RealTime

if TYPE_CHECKING:
    from heartfly_client.calls.calls import Calls

_OURS = "heartfly_call"


class _Done:
    """What a hook returns: a client that awaits it waits for nothing, another one does not look."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_DONE = _Done()
Hooks = dict[str, list[Callable[..., Any]]]


class Asked:
    """A request under way. `joined`: the program is within a call of its own, of which this is a part."""

    def __init__(self, call: Call, *, joined: bool) -> None:
        self.call = call
        self.joined = joined
        self.is_answered = False

    def __del__(self) -> None:
        if not self.is_answered:
            self.call.made.error = self.call.made.error or "no answer"
            self.end()

    def end(self, body: Body | None = None) -> None:
        self.is_answered = True
        self.call.closed(body)
        if not self.joined:
            self.call.over()


def hooks(calls: Calls, *, key: str) -> Hooks:
    def request(asked: Any) -> _Done:
        try:
            call, joined = calls.asked(asked.url.host, asked.url.path, key=key)
            asked.extensions[_OURS] = Asked(call, joined=joined)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the request is not to know
            calls.lost(error)
        return _DONE

    def response(answer: Any) -> _Done:
        try:
            _answered(answer)
        except Exception as error:  # noqa: BLE001 - the same
            calls.lost(error)
        return _DONE

    return {"request": [request], "response": [response]}


def _answered(answer: Any) -> None:
    asked: Asked | None = answer.request.extensions.pop(_OURS, None)
    if asked is None:
        return
    if answer.status_code in REDIRECTS:
        asked.is_answered = True
        asked.call.forget() if not asked.joined else asked.call.closed(None)
        return
    call, content_type = asked.call, answer.headers.get("content-type", "").lower()
    call.status(answer.status_code)
    call.later.append(partial(_read, call, answer.status_code, answer.headers, RealTime().now()))
    _hold_sent(call, answer.request)
    may_say = Body.may_say(content_type)
    if hasattr(answer, "_content"):  # it was read before: a transport of tests, or of a cache
        body = Body(content_type, "") if may_say else None
        if body is not None:
            body.add(answer.content)
        asked.end(body)
        return
    encoding = answer.headers.get("content-encoding", "")
    body = Body(content_type, encoding, _decoder(answer, encoding)) if may_say else None
    answer.stream = _listening(type(answer).__module__.partition(".")[0])(answer.stream, asked, body)


def _read(call: Call, status: int, headers: Any, at: datetime) -> None:
    hear(call, head_of(status, headers.items()), at)


def _hold_sent(call: Call, request: Any) -> None:
    content = getattr(request, "_content", b"")  # what is sent in pieces is not kept by anybody
    if isinstance(content, bytes) and may_name_model(content, request.headers.get("content-type", "")):
        call.n_held += len(content)
        call.later.append(lambda: call.asked_for(model_sent(content)))


def _decoder(answer: Any, encoding: str) -> Callable[[bytes], bytes]:
    """As the client itself unpacks it, whatever it has for that."""
    kind = type(answer)

    def unpacked(content: bytes) -> bytes:
        found: bytes = kind(200, headers={"content-encoding": encoding}, content=content).content
        return found

    return unpacked


@lru_cache(8)
def _listening(library: str) -> Callable[[Any, Asked, Body | None], Any]:
    """A stream of that library's kind, by which bytes pass: clients look whether it is one of theirs."""
    module = sys.modules[library]

    class Listening(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc,name-defined]
        def __init__(self, stream: Any, asked: Asked, body: Body | None) -> None:
            self._stream = stream
            self._asked = asked
            self._body = body

        def __iter__(self) -> Iterator[bytes]:
            for piece in self._stream:
                self._hear(piece)
                yield piece

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self._stream:
                self._hear(piece)
                yield piece

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                self._end()

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                self._end()

        def __del__(self) -> None:
            self._end()

        def _hear(self, piece: bytes) -> None:
            if self._body is not None:
                self._body.add(piece)

        def _end(self) -> None:
            if not self._asked.is_answered:
                self._asked.end(self._body)

    return Listening
