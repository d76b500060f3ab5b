"""What every page may use. One value, wired by app.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from urllib.parse import urlsplit

from heartfly.accounts.first_owner import SetupToken
from heartfly.accounts.relying_party import Party, party_of
from heartfly.accounts.sign_in import SignIn
from heartfly.accounts.turnstile import Turnstile
from heartfly.api.state import ApiState
from heartfly.checks.recent import Known
from heartfly.doctor.finding import Finding
from heartfly.public.badges import Badges
from heartfly.usage.backfill_preview import Foreseen
from heartfly.vitals.readiness import Facts
from heartfly.web.bookshelf import Bookshelf
from heartfly.web.feed import Feeds
from heartfly.web.files import Files
from heartfly.web.panels import Panels
from heartfly.web.render import Renderer
from heartfly.web.reruns import Foretold, Reruns


@dataclass(frozen=True, slots=True)
class WebState:
    api: ApiState
    setup: SetupToken
    feeds: Feeds
    sign_in: SignIn
    badges: Badges
    files: Files
    bookshelf: Bookshelf
    renderer: Renderer
    facts: Callable[[], Facts]
    """What readiness is judged by, now."""
    doctor: Callable[[], Awaitable[Sequence[Finding]]]
    """Looks at what Heartfly stands on; may take as long as a mail server lets it wait."""
    started_at: datetime
    party: Party | None
    """At which passkeys count; None: browsers know none here."""
    reruns: Reruns[Foretold]
    previews: Reruns[Foreseen]
    root: str
    """The path at which a proxy serves us: what every link begins with. Empty at the root of a host."""
    panels: Panels = field(default_factory=Panels)
    recent: Known = field(default_factory=Known)
    """How the newest runs of the checks that are looked at went."""

    @property
    def hashing(self) -> Turnstile:
        """Held by whoever hashes a password."""
        return self.sign_in.hashing

    @property
    def is_https(self) -> bool:
        return self.api.base_url.startswith("https:")


def web_state(
    api: ApiState,
    setup: SetupToken,
    feeds: Feeds,
    *,
    facts: Callable[[], Facts],
    doctor: Callable[[], Awaitable[Sequence[Finding]]],
) -> WebState:
    root = urlsplit(api.base_url).path.rstrip("/")
    files, bookshelf, renderer = _alike(root)
    return WebState(
        api=api,
        setup=setup,
        feeds=feeds,
        sign_in=SignIn(api.database, api.clock, api.ids, api.letters, api.base_url),
        badges=Badges(api.database, api.sealer, api.clock),
        files=files,
        bookshelf=bookshelf,
        renderer=renderer,
        facts=facts,
        doctor=doctor,
        started_at=api.clock.now(),
        party=party_of(api.base_url),
        reruns=Reruns(api.clock),
        previews=Reruns(api.clock),
        root=root,
    )


@cache
def _alike(root: str) -> tuple[Files, Bookshelf, Renderer]:
    """For all who serve pages there: they keep what they have made, such as compiled templates."""
    files = Files(root)
    return files, Bookshelf(root), Renderer(files, root)
