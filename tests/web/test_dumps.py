"""Whoever gets hold of a dump of the database can sign in as nobody: all that people are given is hashed or sealed."""

from __future__ import annotations

import re
from base64 import b32encode, b64encode
from datetime import timedelta
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from heartfly.core import totp
from heartfly.db.database import Database
from tests.dump import cells, found_in
from tests.sim_clock import SimClock
from tests.web.conftest import PASSWORD
from tests.web.test_profile import ask
from tests.web.test_reset import NEW, choose, link_for
from tests.web.test_second_step import OWNER, set_up
from tests.web.test_team import TEAM, Mailed, accept, mailed, part_of

pytestmark = pytest.mark.anyio
__all__ = ["mailed"]

HERS = "a password of hers"


async def test_a_dump_holds_nothing_by_which_somebody_could_sign_in(
    mailed: Mailed, db: Database, clock: SimClock
) -> None:
    """Links are looked for while they work, and those that were used after it."""
    town, secrets = mailed.town, dict[str, str | bytes]()
    owner, nobody = await town.owner(), town.nobody
    secrets["password"], secrets["session"] = PASSWORD, _session(owner.cookies)
    secrets["form token"] = await owner.form_token()

    await owner.post(TEAM + "/invites", {"email": "joan@example.com", "role": "member"})
    secrets["invite"] = _token(part_of(mailed.letters[-1], "plain"))
    await owner.post(TEAM + "/invites", {"email": "kim@example.com", "role": "member"})
    secrets["invite that is open"] = _token(part_of(mailed.letters[-1], "plain"))
    assert 303 == (await accept(nobody, "?token=" + str(secrets["invite"]), password=HERS, again=HERS)).status
    secrets["password of who was invited"] = HERS

    asking, other = town.nobody, town.nobody
    link = await link_for(mailed, asking)
    secrets["reset"], secrets["password by a reset"] = link.partition("=")[2], NEW
    secrets["reset that is open"] = (await link_for(mailed, other, "viewer@example.com")).partition("=")[2]
    for name, one in (("used", asking), ("open", other)):
        (secrets[f"browser of the reset that is {name}"],) = one.cookies.values()
    secrets["change of address"] = (await ask(mailed, owner, "ada@example.net")).partition("=")[2]

    key, codes = await set_up(owner, clock)
    secrets["TOTP"], secrets["TOTP, as it is typed"] = key, b32encode(key).decode().rstrip("=")
    secrets |= {f"backup code {n}": code for n, code in enumerate(codes)}
    clock.move_to(clock.now() + timedelta(seconds=totp.STEP_S))
    assert 200 == (await choose(asking, link)).status
    told = await _dump(db)

    assert 20 <= len(secrets)
    assert set() == found_in(told, secrets)
    # That it would be found is seen by what does stand there.
    assert {("users.email", "address"), ("invites.email_norm", "invited")} <= found_in(
        told, {"address": OWNER, "invited": "kim@example.com"}
    )


async def _dump(db: Database) -> list[tuple[str, str]]:
    def read(connection: sa.Connection) -> list[tuple[str, str]]:
        return list(cells(connection))

    async with db.read() as reading:
        return await reading.run_sync(read)


def _token(text: str) -> str:
    found = re.search(r"token=([\w-]{43})", text)
    assert found is not None
    return found[1]


def _session(cookies: dict[str, str]) -> str:
    (session,) = cookies.values()
    return session


@pytest.mark.parametrize(
    "stands",
    [
        "hf_{0}", "{0}", "x {0} y", '{{"url": "https://a/{0}"}}', "https://a/?q={1}", "{2}", "{3}", "Basic {2}",
        '{{"k": "\\u00fc{0}"}}',
    ],
)  # fmt: skip
def test_a_secret_that_stands_there_is_found_in_each_form(stands: str) -> None:
    secret = "hf_a/canary+key/of-ours"
    bare = secret.removeprefix("hf_")
    text = stands.format(bare, quote(secret, safe=""), b64encode(secret.encode()).decode(), secret.encode().hex())

    assert {("t.c", "key")} == found_in([("t.c", text)], {"key": secret})
    assert set() == found_in([("t.c", text)], {"key": "hf_another/canary+key"})
