"""Rules for paths: read them, see what others would make of real paths, change them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, get, patch, post
from litestar.params import JSONBody

from heartfly.api.problems import told_as
from heartfly.api.request import ApiRequest, IfMatch, etag, rev_of
from heartfly.api.v1.wire import Instant
from heartfly.usage.audit import carry_or_wait
from heartfly.usage.path_preview import foresee_paths
from heartfly.usage.path_rules import MOST_LINES, PathRules, checked, kept_rules, save_rules

_TAGS = ["usage"]
_Lines = Annotated[list[str], msgspec.Meta(max_length=MOST_LINES)]


class PathRulesIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A rule a line, as in a file: `/users/{name}`, `sku-* {sku}`, `iPhone* =`. Empty: only what is built in holds."""

    lines: _Lines


class PathRulesOut(msgspec.Struct, kw_only=True):
    """`version` is what events say that were made by such rules."""

    version: str
    lines: list[str]
    changed_at: Instant | None
    """Null: the project has had none of its own."""
    hours_to_fold: int
    """Of a change: hours of history whose requests are counted anew for it, in the background."""


class PathChangeOut(msgspec.Struct, kw_only=True):
    """Requests of `paths` different paths, of which `path` is one, would count for another endpoint."""

    path: str
    before: str
    after: str
    requests: int
    paths: int


class PathRulesPreview(msgspec.Struct, kw_only=True):
    """Of the newest requests among the latest 50,000 events. `more`: changes that are left out of `changes`.

    `endpoints_most`: so many a project has; requests of others are together in `(other)`.
    """

    version: str
    requests: int
    paths: int
    requests_changed: int
    endpoints_before: int
    endpoints_after: int
    endpoints_most: int
    changes: list[PathChangeOut]
    more: int


@get("/usage/path-rules", summary="Read the rules for paths", responses=told_as(), tags=_TAGS)
async def read_path_rules(request: ApiRequest) -> Response[PathRulesOut]:
    return await _told(request, 0)


@patch("/usage/path-rules", summary="Change the rules for paths", responses=told_as(412, 422), tags=_TAGS)
async def change_path_rules(
    request: ApiRequest, data: JSONBody[PathRulesIn], if_match: IfMatch = None
) -> Response[PathRulesOut]:
    """They hold for what comes, and for history as far as its events are kept. Routes that a framework gave stay."""
    api, pid, at, rev, actor = request.api, request.caller.pid, request.api.clock.now(), rev_of(if_match), request.actor
    n_hours = await api.usage.write(
        lambda tx: save_rules(tx, pid, data.lines, rev=rev, actor=actor, at=at, ids=api.ids)
    )
    await carry_or_wait(api.usage, api.database)
    return await _told(request, n_hours)


@post(
    "/usage/path-rules/preview",
    summary="Preview rules for paths",
    responses=told_as(422),
    tags=_TAGS,
    status_code=200,
)
async def preview_path_rules(request: ApiRequest, data: JSONBody[PathRulesIn]) -> PathRulesPreview:
    """What these rules would make of the paths that were asked for lately, beside what holds now. Changes nothing."""
    checked(data.lines)
    hands = request.api.closer.hands
    hands.demand_room()
    found = await hands.run(foresee_paths, request.api.usage.place, request.caller.pid, data.lines)
    return PathRulesPreview(
        version=found.version,
        requests=found.n,
        paths=found.n_paths,
        requests_changed=found.n_changed,
        endpoints_before=found.endpoints_before,
        endpoints_after=found.endpoints_after,
        endpoints_most=request.api.settings.usage.endpoints,
        changes=[
            PathChangeOut(path=one.path, before=one.before, after=one.after, requests=one.n, paths=one.n_paths)
            for one in found.changes
        ],
        more=found.more,
    )


async def _told(request: ApiRequest, n_hours: int) -> Response[PathRulesOut]:
    async with request.api.usage.read() as read:
        found = await kept_rules(read, request.caller.pid)
    return Response(_out(found, n_hours), headers={"ETag": etag(found.rev)})


def _out(found: PathRules, n_hours: int) -> PathRulesOut:
    return PathRulesOut(
        version=found.version, lines=list(found.lines), changed_at=found.created_at, hours_to_fold=n_hours
    )


SHAPES = (PathRulesOut, PathRulesPreview)
