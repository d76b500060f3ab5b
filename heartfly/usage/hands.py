"""A process beside the server that reads and computes: what takes long in Python must hold up no ping.

(One thread that folds, in the server itself, moved the commit of a ping from 0.5 to 75 ms.) It is started when there
is work and ends when there was none for a while, or when the server is gone, however that died.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar

from heartfly.db.snapshots import keep_all
from heartfly.errors import OverloadedError, StoreError

P = ParamSpec("P")
Result = TypeVar("Result")

_MOST_WAITING = 8
_LOOK_S = 1.0
"""How often whoever waits looks whether anybody is left who would tell him."""
_NICE = 10
"""Behind whatever else wants the processor."""


class Hands:
    """`beside` False: in threads of this process, for commands that have nobody to hold up."""

    def __init__(self, *, beside: bool = True) -> None:
        self._beside = beside
        self._pool: ProcessPoolExecutor | None = None
        self._n_waiting = 0

    async def run(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Of a module's top level, with values that can be sent. StoreError: the process died of it."""
        if not self._beside:
            return await asyncio.to_thread(function, *args, **kwargs)
        if self._pool is None:
            # Spawned: a fork of a process with threads inherits locks that nobody will ever open.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
        pool = self._pool
        self._n_waiting += 1
        try:
            result = asyncio.get_running_loop().run_in_executor(pool, _call, function, args, kwargs)
            speaker: Any = pool._executor_manager_thread  # noqa: SLF001 - asked now: a pool that is let go forgets it
            return await _told(pool, speaker, result)
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = None
            raise StoreError("the process that folds usage died; perhaps the machine had no memory left") from error
        finally:
            self._n_waiting -= 1

    async def timed(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> tuple[Result, float]:
        """As `run`, and the CPU seconds that it took: not those in which it waited for others or for a processor."""
        return await self.run(timed, function, *args, **kwargs)  # type: ignore[arg-type] # of what it calls in turn

    def demand_room(self) -> None:
        """Before work that anybody may ask for again and again. OverloadedError: so much of it waits already."""
        if self._n_waiting >= _MOST_WAITING:
            raise OverloadedError("too much is being worked out at this moment; try again", retry_after=5)

    def rest(self) -> None:
        """Let the process go, unless somebody waits for it; the next work starts another."""
        if self._pool is not None and not self._n_waiting:
            self._pool.shutdown(wait=False)
            self._pool = None

    def stop(self) -> None:
        """At once, whatever it is at: it only reads."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.kill()


async def _told(pool: ProcessPoolExecutor, speaker: threading.Thread, result: asyncio.Future[Result]) -> Result:
    """The result. BrokenProcessPool: the process died, or the thread that speaks with it: where no memory is left it
    cannot begin another that it needs, ends, and breaks the pool for nobody.
    """
    try:
        while not result.done():
            await asyncio.wait({result}, timeout=_LOOK_S)
            if not result.done() and not speaker.is_alive():
                for child in [*(pool._processes or {}).values()]:  # noqa: SLF001 - nobody else would end it
                    child.kill()
                raise BrokenProcessPool("the thread that speaks with the process died")
        return result.result()
    finally:
        result.cancel()


def timed(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> tuple[Result, float]:
    """As `Hands.timed`, in this thread."""
    began = time.thread_time()
    result = function(*args, **kwargs)
    return result, time.thread_time() - began


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)


def _begin() -> None:
    """In the new process."""
    os.nice(_NICE)
    keep_all()
    # As in the server: pages of events are many values that hold no cycles; to look for some took a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A server that was killed tells nobody: without this its process would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
