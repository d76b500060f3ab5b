"""What every page may use. One value, wired by app.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from heartfly.accounts.first_owner import SetupToken
from heartfly.accounts.sign_in import SignIn
from heartfly.accounts.turnstile import Turnstile
from heartfly.api.state import ApiState
from heartfly.web.feed import Feeds
from heartfly.web.files import Files
from heartfly.web.render import Renderer


@dataclass(frozen=True, slots=True)
class WebState:
    api: ApiState
    setup: SetupToken
    feeds: Feeds
    sign_in: SignIn
    files: Files
    renderer: Renderer
    root: str
    """The path at which a proxy serves us: what every link begins with. Empty at the root of a host."""
    trying: Turnstile = field(
        default_factory=lambda: Turnstile(
            at_once=2, waiting=8, again_s=5, busy="too many schedules are tried at this moment; try again"
        )
    )
    """Held by whoever judges a history once more: that takes a core for up to a second."""

    @property
    def hashing(self) -> Turnstile:
        """Held by whoever hashes a password."""
        return self.sign_in.hashing

    @property
    def is_https(self) -> bool:
        return self.api.base_url.startswith("https:")


def web_state(api: ApiState, setup: SetupToken, feeds: Feeds) -> WebState:
    root = urlsplit(api.base_url).path.rstrip("/")
    files = Files(root)
    return WebState(api, setup, feeds, SignIn(api.database, api.clock), files, Renderer(files, root), root)
