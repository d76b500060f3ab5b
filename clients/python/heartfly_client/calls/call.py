"""One call under way: what the program and the hooks learn of it until it is over. It is told of once, when its block
has ended and no answer is being read any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from heartfly_client.calls.bodies import Body
from heartfly_client.calls.readers import Reading, plain, read, read_all
from heartfly_client.calls.record import Made, Number, clean

if TYPE_CHECKING:
    from heartfly_client.calls.limits import Reservation


class Call:
    """`ended`: what happens with it, once. Its methods raise nothing, whatever they are given."""

    def __init__(self, made: Made, ended: Callable[[Call], None], *, messages: bool = False) -> None:
        self.made = made
        self.bodies: list[Body] = []
        self.later: list[Callable[[], None]] = []
        """What there is to be read besides, in the thread."""
        self.reservation: Reservation | None = None
        self.n_held = 0
        """Bytes of what was sent, until they are read."""
        self._ended = ended
        self._messages = messages
        self._begun = time.perf_counter_ns()
        self._n_open = 0
        self._is_over = False
        self._is_told = False
        self._has_model = bool(made.model)

    # --- the program

    def units(self, **kinds: Number) -> None:
        """As many of each kind; what was said before is added to. `requests` is 1 if it is not said."""
        for kind, amount in kinds.items():
            self.made.add(kind, amount)

    def cost(self, amount: Number, currency: str) -> None:
        """What it cost, as the provider says: it wins over the price list. Give a text or a Decimal."""
        self.made.costs(amount, currency)

    def status(self, status: int) -> None:
        """Of HTTP."""
        self.made.status = status if isinstance(status, int) and 0 <= status <= 999 else 0

    def error(self, error: BaseException | str) -> None:
        """Of an exception its type's name, its status if it has one, and its message only if `messages` says so."""
        if isinstance(error, str):
            self.made.error = error
            return
        name = type(error).__name__
        self.made.error = f"{name}: {clean(str(error), 300)}" if self._messages else name
        if not self.made.status and (status := _status_of(error)):
            self.made.status = status

    def request_id(self, request_id: str) -> None:
        self.made.request_id = str(request_id)

    def model(self, model: str) -> None:
        self.made.model = str(model)
        self._has_model = True

    def note(self, name: str, text: object) -> None:
        """A property more, by a name of yours."""
        self.made.more[clean(name, 100)] = str(text)

    def read(self, answer: Any) -> None:
        """Units, model and tier out of an answer: a mapping, or the object that a client made of it."""
        try:
            self.take(read(plain(answer), provider=self.made.provider))
        except Exception:  # noqa: BLE001 - whatever an answer is made of, the call is not to know of it
            self.made.unread.append("answer")

    # --- hooks

    def take(self, reading: Reading) -> None:
        for kind, amount in reading.units.items():
            self.made.add(kind, amount)
        if reading.model:
            if not self.made.model:
                self.made.model = reading.model
            elif reading.model != self.made.model:
                self.made.more["model_answered"] = reading.model
        self.made.tier = self.made.tier or reading.tier
        self.made.request_id = self.made.request_id or reading.request_id
        self.made.error = self.made.error or reading.error

    def answered(self, status: int, *, request_id: str, more: Mapping[str, str]) -> None:
        self.status(status)
        if request_id:
            self.made.request_id = request_id
        self.made.more |= more

    def asked_for(self, model: str) -> None:
        """By what was sent: it is what price lists name, unless the program said so itself."""
        if model and not self._has_model:
            self.made.model = model

    def opened(self) -> None:
        self._n_open += 1

    def closed(self, body: Body | None) -> None:
        self._n_open -= 1
        if body is not None:
            self.bodies.append(body)
        self._tell()

    # --- the end

    def restart(self) -> None:
        """The time begins now: what was asked before is not the provider's."""
        self.made.at_ns, self._begun = time.time_ns(), time.perf_counter_ns()

    def forget(self) -> None:
        """It was none."""
        self._is_told = True

    @property
    def is_told(self) -> bool:
        return self._is_told

    def over(self, error: BaseException | None = None) -> None:
        if error is not None and not self.made.error:
            self.error(error)
        self._is_over = True
        self._tell()

    def _tell(self) -> None:
        if not self._is_over or self._n_open > 0 or self._is_told:
            return
        self._is_told = True
        self.made.latency_ns = time.perf_counter_ns() - self._begun
        self._ended(self)

    @property
    def size(self) -> int:
        """Bytes that wait to be read."""
        return self.n_held + sum(body.size for body in self.bodies)

    def read_bodies(self) -> Reading:
        """What the answers said of units, added to what is known. The last of them, for what else is in it."""
        last = Reading()
        later, self.later, self.n_held = self.later, [], 0
        for one in later:
            one()
        bodies, self.bodies = self.bodies, []
        for body in bodies:
            try:
                if not body.whole:
                    raise ValueError("is too long")  # noqa: TRY301 - as one that cannot be read
                last = read_all(body.documents(), provider=self.made.provider)
            except (ValueError, RecursionError):
                self.made.unread.append("answer")
            else:
                self.take(last)
        return last


def _status_of(error: BaseException) -> int:
    for place in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            status = getattr(place, name, None)
            if isinstance(status, int) and 100 <= status <= 599:
                return status
    return 0
