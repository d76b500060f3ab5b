"""What holds for second steps and passkeys alike: the page for who has neither where one is demanded, where he goes on
once he has, by which token, and the letter about each change.
"""

from __future__ import annotations

from litestar import Response, get

from heartfly.accounts.letters import FactorChange, factor_letter
from heartfly.web import cookie
from heartfly.web.origin import local_path
from heartfly.web.request import REQUIRED, TO_SET_UP, PageRequest
from heartfly.web.sign_in import onward, to


@get(REQUIRED, opt=TO_SET_UP)
async def show(request: PageRequest) -> Response[bytes]:
    """Why, and both ways."""
    asked = local_path(request.query_params.get("next", "")) or ""
    if request.bound is None:
        return onward(request, asked) if asked else to(request, "/account/security")
    return await request.page("required.html", wanted=asked)


async def where_next(request: PageRequest) -> str:
    """Where he goes on once it is set up; empty: home."""
    return local_path(request.query_params.get("next", "") or (await request.sent())["next"]) or ""


def go_on_by(request: PageRequest, token: str) -> dict[str, str]:
    """The headers that say so to the browser; what is shown from now on is of that token.

    What was shut opens with the first factor, and a copy of the cookie from before must not open it.
    """
    request.scope["web_token"] = token  # type: ignore[typeddict-unknown-key]
    return {"Set-Cookie": cookie.setting(token, is_https=request.web.is_https)}


def tell(request: PageRequest, change: FactorChange) -> None:
    """Whoever reads the account's mail, behind the answer: so that nobody adds a factor of his own unnoticed.

    Without a mail server nobody; projects' audits have it in any case.
    """
    api, who = request.api, request.who
    if api.letters.can_send:
        letter = factor_letter(who.email, change, at=api.clock.now(), place=request.place, base_url=api.base_url)
        api.letters.behind(api.letters.send_patiently(letter))
