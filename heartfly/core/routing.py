"""Which endpoint a request counts for: its method and its route, as the newest rules of its project have it.

A route that a framework gave stays, whatever the rules say; one that was made of the path is made of it anew. Where a
project has no rules of its own, each route is what the event says.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartfly.core.paths import BUILT_IN, Rules

MOST_CHARACTERS = 256
"""Of an endpoint's name."""
_NOT_TOLD = "-"


@dataclass(frozen=True, slots=True)
class Router:
    """`rules` None: the project has none."""

    rules: Rules | None = None

    def route(self, route: str | None, path: str | None, made_by: str | None) -> str | None:
        """Of a request's properties `route`, `path` and `rules`: those that its route was made by. None: not known."""
        if path is None:
            return route
        if self.rules is None:
            return BUILT_IN.normal(path) if route is None else route
        is_template = route is not None and made_by is None and route != BUILT_IN.normal(path)
        return route if is_template else self.rules.normal(path)

    def endpoint(self, method: str | None, route: str | None, path: str | None, made_by: str | None) -> str:
        """`GET /users/{id}`; a dash for what is not told. Methods are told apart by their letters only."""
        found = self.route(route, path, made_by)
        return f"{(method or _NOT_TOLD).upper()} {found or _NOT_TOLD}"[:MOST_CHARACTERS]
