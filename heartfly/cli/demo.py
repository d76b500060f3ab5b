"""What `heartfly serve --demo` does before it serves: fills the database, and says how to look around in it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from heartfly.accounts.passwords import hashed
from heartfly.app import App
from heartfly.db.ids import IdSource
from heartfly.demo.calls import calls_go_on, fill_calls
from heartfly.demo.fill import DEMO, EMAIL, Filled, fill
from heartfly.demo.lives import NODE
from heartfly.demo.pretend import pretending
from heartfly.demo.red_day import RedDay
from heartfly.demo.requests import fill_requests, requests_go_on
from heartfly.demo.spending import fill_spending
from heartfly.demo.traffic import Traffic
from heartfly.demo.usage import UsageGoesOn, fill_usage
from heartfly.errors import ConflictError
from heartfly.ground import Ground, leave_key
from heartfly.notify.channels import CHANNELS

_SEED = 1


@dataclass(frozen=True, slots=True)
class Shown:
    filled: Filled
    password: str

    def app(self, ground: Ground) -> App:
        """One that sends nothing, and whose jobs go on."""
        app = App(ground, kinds=pretending(CHANNELS))
        usage = UsageGoesOn(self.filled.project, ground.database, ground.clock, ground.ids)
        app.beside.append(usage.run)
        app.beside.append(requests_go_on(self.filled.project, app.events, ground.clock, seed=_SEED).run)
        app.beside.append(calls_go_on(self.filled.project, app.events, ground.clock, seed=_SEED).run)
        app.beside.append(RedDay(self.filled.project, ground.usage, app.closer.hands, ground.clock).run)
        app.beside.append(Traffic(self.filled.lives, app.ingest, ground.clock).run)
        return app

    def greeting(self, base_url: str) -> str:
        return (
            f"\nA demo: {len(self.filled.lives)} made-up checks, whose jobs go on while this runs. Nothing is sent to "
            f"anybody.\n\n    {base_url}/sign-in\n    {EMAIL}\n    {self.password}\n\n"
            "The password is told this once; the data directory may be thrown away at the end. Stop with Ctrl-C.\n"
        )


def fill_demo(ground: Ground) -> Shown:
    """ConflictError: the database is in use."""
    password = secrets.token_urlsafe(12)
    password_hash, now = hashed(password), ground.clock.now()
    keep = ground.settings.pings.keep_per_check
    try:
        filled = ground.database.transaction(
            lambda tx: fill(
                tx, DEMO, seed=_SEED, now=now, sealer=ground.sealer, password_hash=password_hash, keep_pings=keep
            )
        )
    except ConflictError as error:
        ground.close()
        raise ConflictError(
            f"{error}. Give the demo a data directory of its own (heartfly serve --demo --data ./heartfly-demo), or "
            "start without --demo to serve what is there"
        ) from error
    ids = IdSource(NODE)
    ground.usage.transaction(lambda tx: fill_usage(tx, filled.project, seed=_SEED, now=now, ids=ids))
    ground.usage.transaction(lambda tx: fill_requests(tx, filled.project, seed=_SEED, now=now, ids=ids))
    ground.usage.transaction(lambda tx: fill_calls(tx, filled.project, seed=_SEED, now=now, ids=ids))
    ground.database.transaction(lambda tx: fill_spending(tx, filled, seed=_SEED, now=now, ids=ids))
    leave_key(ground, filled.project)
    return Shown(filled, password)
