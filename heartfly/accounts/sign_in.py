"""An address and a password: do they go together? Same work, same answer, whether the address is known or not.

Tries are bounded for each address and for each place that they come from (core/places.py), before any hashing. Where
they come from is the door's to say: behind a proxy only what trusted hops appended counts. These bounds are this
process's own; what is wrong a hundred times in a row is shut for all of them (wrong_passwords.py).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from heartfly.accounts import wrong_passwords
from heartfly.accounts.factors import has_passkey
from heartfly.accounts.letters import shut_letter
from heartfly.accounts.passwords import hashed, matches
from heartfly.accounts.turnstile import Turnstile
from heartfly.clock import Clock
from heartfly.core.places import place_of
from heartfly.db.changes import Tx
from heartfly.db.database import Database
from heartfly.db.ids import IdSource
from heartfly.db.models import users
from heartfly.errors import OverloadedError, UnauthenticatedError
from heartfly.logs import logger
from heartfly.notify.letters import Letters

WINDOW_S = 15 * 60
DAY_S = 24 * 60 * 60
PER_PLACE_AND_ADDRESS = 10
PER_ADDRESS = 100
PER_PLACE = 100
AT_ONCE = 2
"""So many passwords are hashed side by side: each takes a core for 35 ms, and 19 MiB."""
WAITING = 60
"""So many may wait for that, a second or two."""

_LONGEST = 1000
_REMEMBERED = 50_000

log = logger("heartfly.sign_in")


class TooManyTriesError(OverloadedError):
    """For this address, or from this place. `retry_after` is in seconds."""


class PasswordShutError(UnauthenticatedError):
    """Too many wrong ones in a row: this one counts as wrong, whatever it is. Not told but to who is signed in."""


@dataclass(frozen=True, slots=True)
class Known:
    """`needs_code`: the password alone is not enough. `has_passkey`: nor is it where more is demanded of everybody."""

    user_id: int
    password_hash: str
    needs_code: bool
    has_passkey: bool


class Tries:
    """The tries of the last 15 minutes, or of `window_s`, that failed or have not ended, in this process's memory."""

    def __init__(
        self,
        *,
        per_pair: int = PER_PLACE_AND_ADDRESS,
        per_address: int = PER_ADDRESS,
        per_place: int = PER_PLACE,
        remembered: int = _REMEMBERED,
        window_s: int = WINDOW_S,
    ) -> None:
        self._window_s = window_s
        self._most = (per_pair, per_address, per_place)
        self._remembered = remembered
        self._tries: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()

    def begin(self, email: str, place: str, now: float) -> None:
        """Count a try before its work, so that many at once gain nothing. TooManyTriesError: no work for this one."""
        bounds = self._bounds(email, place)
        waits = [self._wait(key, most, now) for key, most in bounds]
        if wait := max(waits):
            raise TooManyTriesError("too many tries to sign in", retry_after=int(wait) + 1)
        for key, _ in bounds:
            self._tries.setdefault(key, deque()).append(now)
            self._tries.move_to_end(key)
        while len(self._tries) > self._remembered:
            self._tries.popitem(last=False)

    def forgive(self, email: str, place: str) -> None:
        """It was the right password: what this person mistyped from here before counts no more."""
        pair, _, from_here = (key for key, _ in self._bounds(email, place))
        self._tries.pop(pair, None)
        tries = self._tries.get(from_here)
        if tries:
            tries.pop()

    def withdraw(self, email: str, place: str) -> None:
        """The try that began last was none: nobody looked at its password."""
        for key, _ in self._bounds(email, place):
            if tries := self._tries.get(key):
                tries.pop()

    def _wait(self, key: tuple[str, ...], most: int, now: float) -> float:
        tries = self._tries.get(key)
        if tries is None:
            return 0.0
        while tries and tries[0] <= now - self._window_s:
            tries.popleft()
        return tries[0] + self._window_s - now if len(tries) >= most else 0.0

    def _bounds(self, email: str, place: str) -> tuple[tuple[tuple[str, ...], int], ...]:
        per_pair, per_address, per_place = self._most
        place = place_of(place)
        return (
            (("both", email, place), per_pair),
            (("address", email), per_address),
            (("place", place), per_place),
        )


class SignIn:
    def __init__(self, database: Database, clock: Clock, ids: IdSource, letters: Letters, base_url: str) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._letters = letters
        self._base_url = base_url
        self._tries = Tries()
        self.hashing = Turnstile(
            at_once=AT_ONCE, waiting=WAITING, again_s=3, busy="too many people sign in at this moment; try again"
        )
        # Codes have six digits, and three of them count at a time: of 20 tries in a quarter of an hour one would be
        # right within half a year; of 100 a day it takes nine years.
        self.codes = Tries(per_address=20)
        self.codes_of_day = Tries(per_pair=100, per_address=100, per_place=2_000, window_s=DAY_S)
        self.passkeys = Tries(per_pair=20)
        self.resets = Tries(per_pair=3, per_address=5, per_place=20)

    async def known(self, email: str, password: str, *, place: str) -> Known:
        """UnauthenticatedError: the two do not go together, or (PasswordShutError) nothing goes with the address any
        more. TooManyTriesError. OverloadedError: too many sign in now.

        `place`: the client's address.
        """
        email = email.strip().lower()[:_LONGEST]
        self._tries.begin(email, place, self._clock.monotonic())
        row = None
        if "\x00" not in email and email.isascii():
            has = (users.c.totp_enc.is_not(None).label("needs_code"), has_passkey().label("has_passkey"))
            query = sa.select(users.c.id, users.c.email, users.c.password_hash, *has).where(users.c.email_norm == email)
            async with self._database.read() as read:
                row = (await read.execute(query)).first()
        try:
            async with self.hashing:
                nobodys = await asyncio.to_thread(_nobodys)
                stored = row.password_hash if row is not None else nobodys
                good = len(password) <= _LONGEST and await asyncio.to_thread(matches, stored, password)
        except OverloadedError:
            self._tries.withdraw(email, place)
            raise
        n = await self._counted(row, email, is_right=good and row is not None, place=place)
        if row is not None and n >= wrong_passwords.MOST:
            raise PasswordShutError(f"{wrong_passwords.MOST} wrong passwords in a row")
        if row is None or n:
            raise UnauthenticatedError("the address and the password do not go together")
        self._tries.forgive(email, place)
        return Known(row.id, row.password_hash, bool(row.needs_code), bool(row.has_passkey))

    async def _counted(self, row: Any, email: str, *, is_right: bool, place: str) -> int:
        """wrong_passwords.settle, and who is to hear of it. `row`: of the user; None: nobody has the address."""
        now, key = self._clock.now(), wrong_passwords.key_of(None if row is None else row.id, email)

        def work(tx: Tx) -> int:
            n = wrong_passwords.settle(tx, key, is_right=is_right)
            if row is not None and n == wrong_passwords.MOST:
                wrong_passwords.tell_shut(tx, row.id, ip=place, at=now, ids=self._ids)
            return n

        n = await self._database.write(work)
        if row is not None and n == wrong_passwords.MOST:  # the one that shut it, however many come at once
            log.warning("password_shut", user=row.id, client=place)
            if self._letters.can_send:
                letter = shut_letter(row.email, n=n, at=now, place=place, base_url=self._base_url)
                self._letters.behind(self._letters.send_patiently(letter))
        return n


@cache
def _nobodys() -> str:
    """What the password of somebody unknown is compared with, so that it takes as long as any."""
    return hashed("the password of nobody at all")
