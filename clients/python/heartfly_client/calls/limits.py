"""Whether a call may be made, asked before it is (`POST /v1/limits/check`), and what is reserved settled after it.

What the limits are, and who comes first, the server decides. Here is decided what happens when it says nothing in time.
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self
from urllib.parse import quote

from heartfly_client.calls.record import Number, exact
from heartfly_client.sender import Target
from heartfly_client.sender.exchange import FAILURES, Answer, post
from heartfly_client.sender.pace import wait_s
from heartfly_client.sender.times import RealTime

_MOST_UNSETTLED = 10_000
_SETTLE_FOR_S = 60.0


class Unreachable(StrEnum):
    """What a check says when nobody answers it in time: `OPEN`, the call is made; `CLOSED`, it is not."""

    OPEN = "open"
    CLOSED = "closed"


class LimitReached(Exception):  # noqa: N818 - it is no fault, and reads so where it is caught
    """The call is not to be made. `retry_after`: in seconds, from when on it may be; None: nobody knows."""

    def __init__(self, words: str, *, retry_after: float | None = None, limit: str = "", told: Any = None) -> None:
        super().__init__(words)
        self.retry_after = retry_after
        self.limit = limit
        self.told = told


@dataclass(frozen=True, slots=True)
class Said:
    """What a check came to. `unchecked`: why nobody could say; empty: somebody did."""

    reservation: str = ""
    remaining: Mapping[str, Any] = field(default_factory=dict)
    unchecked: str = ""


class Limits:
    """Asks, and settles in a thread of its own, so that no call waits for that."""

    def __init__(
        self,
        target: Target,
        *,
        unreachable: Unreachable,
        timeout_s: float,
        tell: Callable[[str], None],
    ) -> None:
        self._url = target.url.rstrip("/") + "/v1/limits"
        self._headers = {
            "Authorization": f"Bearer {target.key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        self._unreachable = unreachable
        self._timeout = timeout_s
        self._tell = tell
        self._time = RealTime()
        self._settling: queue.Queue[tuple[str, bytes] | None] = queue.Queue(_MOST_UNSETTLED)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.unsettled = 0
        """Reservations of which the server was not told how they ended; they end by themselves."""

    def check(
        self, scope: Mapping[str, Any], units: Mapping[str, Number], cost: Mapping[str, Number], *, ttl_s: float | None
    ) -> Said:
        """LimitReached: it is not to be made."""
        asked: dict[str, Any] = {
            "scope": {name: value for name, value in scope.items() if value},
            "units": _texts({"requests": 1} | dict(units)),
            "cost": _texts(cost),
            "reserve": True,
            "idempotency_key": secrets.token_hex(16),
        }
        if ttl_s is not None:
            asked["ttl"] = ttl_s
        try:
            answer = post(f"{self._url}/check", json.dumps(asked).encode(), self._headers, timeout_s=self._timeout)
            told = _object(answer)
        except FAILURES as error:
            return self._without(f"cannot be reached: {type(error).__name__}")
        if answer.status not in {200, 429} or not isinstance(allowed := told.get("allowed"), bool):
            return self._without(f"answered {answer.status}")
        if not allowed:
            raise _refused(told, answer)
        if told.get("unseen"):
            return self._without("could not look at them")
        remaining = told.get("remaining")
        return Said(str(told.get("reservation") or ""), remaining if isinstance(remaining, dict) else {})

    def _without(self, why: str) -> Said:
        if self._unreachable is Unreachable.CLOSED:
            raise LimitReached(f"the limits could not be asked, as the server {why}; without them no call is made")
        self._tell(f"a call is made although its limits could not be asked: the server {why}")
        return Said(unchecked=why)

    # --- afterwards

    def settle(self, reservation: str, how: str, told: Mapping[str, Any]) -> None:
        """`how`: commit or release."""
        address = f"{self._url}/reservations/{quote(reservation, safe='')}/{how}"
        try:
            self._settling.put_nowait((address, json.dumps(told).encode()))
        except queue.Full:
            self._lost(f"reservation {reservation}: too many wait to be settled")
            return
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="heartfly-limits", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while (one := self._settling.get()) is not None:
            self._deliver(*one)

    def _deliver(self, address: str, body: bytes) -> None:
        ends, n = self._time.monotonic() + _SETTLE_FOR_S, 0
        while True:
            try:
                status = post(address, body, self._headers, timeout_s=self._timeout).status
                why = f"answered {status}"
                if status < 500 and status not in {408, 425, 429}:
                    if status >= 400:
                        self._lost(f"{address} {why}")
                    return
            except FAILURES as error:
                why = f"cannot be reached: {type(error).__name__}"
            n += 1
            pause = wait_s(n, None)
            if self._stop.is_set() or self._time.monotonic() + pause > ends:
                self._lost(f"{address} {why}")
                return
            self._stop.wait(pause)

    def _lost(self, words: str) -> None:
        with self._lock:
            self.unsettled += 1
        self._tell(f"a reservation could not be settled, and ends by itself: {words}")

    def close(self, patience_s: float) -> None:
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self._stop.set()  # what is tried just now is tried no more after it
        try:
            self._settling.put(None, timeout=patience_s)
        except queue.Full:
            return
        thread.join(patience_s)


class Reservation:
    """What a check has set aside for a call, until it is committed or released: once, whatever is said later."""

    def __init__(self, limits: Limits, said: Said) -> None:
        self._limits = limits
        self.id = said.reservation
        self.remaining = said.remaining
        self.unchecked = said.unchecked
        self._is_settled = not said.reservation

    def commit(self, units: Mapping[str, Number] | None = None, cost: Mapping[str, Number] | None = None) -> None:
        """The call was made, and came to this; None: to what was reserved."""
        told: dict[str, Any] = {}
        if units is not None:
            told["units"] = _texts({"requests": 1} | dict(units))
        if cost is not None:
            told["cost"] = _texts(cost)
        self._settle("commit", told)

    def release(self) -> None:
        """It was not made."""
        self._settle("release", {})

    def _settle(self, how: str, told: Mapping[str, Any]) -> None:
        if not self._is_settled:
            self._is_settled = True
            self._limits.settle(self.id, how, told)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.release()
        else:
            self.commit()


def _texts(amounts: Mapping[str, Number]) -> dict[str, str]:
    """ValueError: one is no amount."""
    found = {name: exact(amount) for name, amount in amounts.items()}
    if wrong := [name for name, text in found.items() if text is None]:
        raise ValueError(f"{wrong[0]} must be a decimal amount")
    return {name: text for name, text in found.items() if text is not None}


def _object(answer: Answer) -> Mapping[str, Any]:
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _refused(told: Mapping[str, Any], answer: Answer) -> LimitReached:
    after = told.get("retry_after", answer.retry_after)
    try:
        seconds = None if after is None else float(after)
    except (TypeError, ValueError):
        seconds = None
    limit = told.get("limit")
    name = str(limit.get("name") or limit.get("id") or "") if isinstance(limit, dict) else str(limit or "")
    words = f"the limit {name} is reached" if name else "a limit is reached"
    return LimitReached(
        words + ("" if seconds is None else f"; again in {seconds:g} s"), retry_after=seconds, limit=name, told=told
    )
