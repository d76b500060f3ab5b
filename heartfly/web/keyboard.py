"""Keys for what links and buttons do, listed and switched off on one page. The script that hears them is keys.js.

The choice is this browser's, in a cookie: who shares an account need not share a habit.
"""

from __future__ import annotations

from litestar import Response, get, post

from heartfly.web import cookie
from heartfly.web.request import OF_ONESELF, PageRequest
from heartfly.web.sign_in import to

KEYS = (
    ("/", "Filter the list, or find in what a ping said; elsewhere, go to a check or page"),
    ("Ctrl K", "Go to a check or page (⌘ K on a Mac)"),
    ("g c", "Checks"),
    ("g i", "Incidents"),
    ("g n", "Channels"),
    ("g u", "Usage"),
    ("g m", "Maintenance"),
    ("n", "New check"),
    ("j", "Next line of a list"),
    ("k", "Line before"),
    ("Enter", "Open it"),
    ("x", "Tick it, or not"),
    ("e", "Its schedule"),
    ("p", "Pause or resume it; in a list all that are ticked"),
    ("a", "Acknowledge the incident; of a check, open it"),
    ("s", "Snooze the check, or that of the incident"),
    ("c", "Copy the ping address of a check"),
    ("t", "Times in your zone, or in UTC"),
    ("[", "The shorter time of those offered, the month before, or the ping before"),
    ("]", "The longer time, the month after, or the ping after"),
    ("?", "This list"),
)


@get("/account/keyboard")
async def show(request: PageRequest) -> Response[bytes]:
    return await request.page("keyboard.html", keys=KEYS)


@post("/account/keyboard", opt=OF_ONESELF, status_code=200)
async def choose(request: PageRequest) -> Response[bytes]:
    is_on = (await request.sent())["keys"] == "on"
    return to(request, "/account/keyboard", set_cookie=cookie.choosing_keys(is_on=is_on, is_https=request.web.is_https))
