"""Badges: for the world at addresses that nobody can guess, and for people the page where these are picked.

A badge may stand on other sites, so it says less than a page does about who may use it, and is kept for half a minute.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote, urlencode

from litestar import Response, get, post

from heartfly.core.text import shown
from heartfly.errors import InvalidValueError, NotFoundError
from heartfly.public import badge_keys, drawing
from heartfly.public.badges import ALL, States, Subject, subjects
from heartfly.web.request import FOR_ADMINS, FOR_ALL, PageRequest
from heartfly.web.sign_in import to

_STATES = {"3": States.THREE, "2": States.TWO}


@get("/badge/{half:str}/{states:str}/{name:str}", opt=FOR_ALL)
async def show(request: PageRequest) -> Response[bytes]:
    """`name`: the badge's code and a format. `label` in the query: what it shall say in the place of its name."""
    states, (code, _, kind) = _STATES.get(request.path_value("states")), request.path_value("name").partition(".")
    if states is None or kind not in drawing.FORMATS:
        raise NotFoundError("there is no such badge")
    badge = await request.web.badges.find(request.path_value("half"), code)
    made = drawing.drawn(badge, states, kind=kind, label=request.query_params.get("label", ""))
    return Response(made, media_type=drawing.FORMATS[kind], headers=drawing.HEADERS)


@get("/p/{project:str}/badges")
async def build(request: PageRequest) -> Response[bytes]:
    """The badge that was picked: how it looks, and what to paste where."""
    asked = request.query_params
    states = _STATES.get(asked.get("states", ""), States.THREE)
    label = shown(asked.get("label", ""))[: drawing.MOST_LABEL].strip()
    async with request.api.database.read() as read:
        key, found = await subjects(read, request.project.pid, request.api.sealer)
    choices = [(f"{one.of}:{one.name}", one) for _, one in found]
    picked = dict(choices).get(asked.get("of", f"{ALL}:"))
    status = 200
    if key is not None and picked is None:
        status, picked = 404, choices[0][1]
    pasted = None if key is None or picked is None else _pasted(request, key.half, picked, states, label)
    return await request.page(
        "badges.html",
        status=status,
        has_key=key is not None,
        choices=choices,
        picked=picked,
        gone=status == 404,
        states=str(states.value),
        label=label,
        most_label=drawing.MOST_LABEL,
        pasted=pasted,
    )


@post("/p/{project:str}/badges/key", opt=FOR_ADMINS, status_code=200)
async def change_key(request: PageRequest) -> Response[bytes]:
    api, pid, actor, at = request.api, request.project.pid, request.actor, request.api.clock.now()
    match (await request.sent())["do"]:
        case "make":
            await request.administer(
                lambda tx, _: badge_keys.make_badge_key(tx, pid, actor=actor, at=at, ids=api.ids, sealer=api.sealer)
            )
        case "remove":
            await request.administer(
                lambda tx, _: badge_keys.remove_badge_key(tx, pid, actor=actor, at=at, ids=api.ids)
            )
        case _:
            raise InvalidValueError("do", "must be make or remove")
    return to(request, f"/p/{request.project.slug}/badges")


def _address(base_url: str, key: tuple[str, str], states: States, *, kind: str, label: str = "") -> str:
    """`key`: its public half, and the badge's code."""
    query = f"?{urlencode({'label': label}, quote_via=quote)}" if label else ""
    return f"{base_url}/badge/{key[0]}/{states.value}/{key[1]}.{kind}{query}"


def _pasted(request: PageRequest, half: str, picked: Subject, states: States, label: str) -> dict[str, str]:
    """`here`: the picture's path on this server; the rest is what people paste."""
    key = (half, picked.code)
    svg, as_json, shields = (
        _address(request.api.base_url, key, states, kind=kind, label=label if kind != "json" else "")
        for kind in drawing.FORMATS
    )
    alt = f"Status of {label or shown(picked.label)}"
    return {
        "here": _address(request.web.root, key, states, kind="svg", label=label),
        "alt": alt,
        "markdown": f"![{_plain(alt)}]({svg})",
        "html": f'<img src="{escape(svg)}" alt="{escape(alt)}" height="20">',
        "json": as_json,
        "shields": f"https://img.shields.io/endpoint?url={quote(shields, safe='')}",
    }


def _plain(text: str) -> str:
    """Text that Markdown takes as such."""
    return "".join(f"\\{letter}" if letter in r"\[]*_`<>!" else letter for letter in text)
