"""What every page may use. One value, wired by app.py."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from heartfly.accounts.first_owner import SetupToken
from heartfly.accounts.sign_in import SignIn
from heartfly.api.state import ApiState
from heartfly.public.badges import Badges
from heartfly.web.feed import Feeds
from heartfly.web.files import Files
from heartfly.web.render import Renderer


@dataclass(frozen=True, slots=True)
class WebState:
    api: ApiState
    setup: SetupToken
    feeds: Feeds
    sign_in: SignIn
    badges: Badges
    files: Files
    renderer: Renderer
    root: str
    """The path at which a proxy serves us: what every link begins with. Empty at the root of a host."""

    @property
    def hashing(self) -> asyncio.Semaphore:
        """Held by whoever hashes a password."""
        return self.sign_in.hashing

    @property
    def is_https(self) -> bool:
        return self.api.base_url.startswith("https:")


def web_state(api: ApiState, setup: SetupToken, feeds: Feeds) -> WebState:
    root = urlsplit(api.base_url).path.rstrip("/")
    files = Files(root)
    sign_in, badges = SignIn(api.database, api.clock), Badges(api.database, api.sealer, api.clock)
    return WebState(api, setup, feeds, sign_in, badges, files, Renderer(files, root), root)
