"""How a status page looks: its colours, which must be legible, and its logo, of which only the picture is kept."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from html import unescape
from importlib.resources import files

import pytest
import sqlalchemy as sa

from heartfly.core.contrast import AA, contrast
from heartfly.db.models import audit, status_pages
from heartfly.errors import InvalidValueError
from heartfly.public import status_pages as commands
from heartfly.public.logos import MOST_BYTES, logo_of, logo_of_base64
from heartfly.web.status import OWN_COLOURS
from tests.web.browser import Browser
from tests.web.conftest import Town
from tests.web.test_status_pages import FORM, furnished, page_id

pytestmark = pytest.mark.anyio


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 4, height: int = 2, *more: bytes) -> bytes:
    """All red, with what is given between head and picture."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = zlib.compress((b"\x00" + b"\xff\x00\x00" * width) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def segment(kind: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(data) + 2) + data


def jpeg(width: int = 4, height: int = 2, *more: bytes) -> bytes:
    size = segment(0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00")
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x12\xff\x00\x34"
    return b"\xff\xd8" + segment(0xE0, b"JFIF\x00") + b"".join(more) + size + scan + b"\xff\xd9"


def test_of_a_file_what_draws_the_picture_is_kept_byte_for_byte_and_nothing_else() -> None:
    secret = b"56.95N 24.1E"

    assert png() == logo_of(png(4, 2, chunk(b"tEXt", secret), chunk(b"eXIf", secret)) + secret).content
    assert jpeg() == logo_of(jpeg(4, 2, segment(0xE1, b"Exif" + secret), segment(0xFE, secret)) + secret).content
    assert logo_of(png()).name.endswith(".png")
    assert logo_of(jpeg()).name.endswith(".jpg")
    assert logo_of(png()).name != logo_of(png(5)).name
    assert ("", b"") == (logo_of(b"").name, logo_of(b"").content)
    assert logo_of(png()) == logo_of_base64(base64.b64encode(png()).decode())


def test_a_picture_that_comes_in_several_scans_keeps_them_and_nothing_between() -> None:
    secret, table = segment(0xE1, b"Exif 56.95N") + segment(0xFE, b"24.1E"), segment(0xC4, b"\xff\xd9\xff\xd9")
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x56\xff\x00\xff\xd0\x78"
    first = jpeg()[:-2]

    assert first + table + scan + b"\xff\xd9" == logo_of(first + secret + table + scan + b"\xff\xd9<html>").content


HEAD = png()[:33]
WRONG = {
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "must be a PNG or JPEG file"),
    "a GIF": (b"GIF89a" + bytes(20), "must be a PNG or JPEG file"),
    "too large": (png() + bytes(MOST_BYTES), "at most 32 kB, not 33"),
    "too wide": (png(1_025, 1), "at most 1024 pixels wide and high, not 1025 by 1"),
    "a JPEG that is too high": (jpeg(1, 1_025), "not 1 by 1025"),
    "of no width": (png(0, 1), "not 0 by 1"),
    "cut off": (png()[:-5], "is damaged"),
    "one bit wrong": (png().replace(b"\x00\x00\x00\x04", b"\x00\x00\x00\x05", 1), "is damaged"),
    "two heads": (png(4, 2, png()[8:33]), "is damaged"),
    "no head first": (png()[:8] + png()[33:], "is damaged"),
    "a head that is too long": (png()[:8] + chunk(b"IHDR", bytes(14)) + png()[33:], "is damaged"),
    "no picture": (HEAD + chunk(b"IEND", b""), "is damaged"),
    "a chunk longer than the file": (HEAD + b"\xff\xff\xff\xffIDAT", "is damaged"),
    "a JPEG that is cut off": (jpeg()[:-2], "is damaged"),
    "a JPEG within a segment": (jpeg()[:9], "is damaged"),
    "a JPEG without a size": (b"\xff\xd8" + jpeg()[-16:], "is damaged"),
    "a JPEG of two sizes": (jpeg()[:-2] + jpeg(9, 9)[11:], "is damaged"),
    "a JPEG segment of no length": (b"\xff\xd8\xff\xe0\x00\x01" + bytes(9), "is damaged"),
    "a JPEG that goes on as something else": (jpeg()[:11] + b"<html>", "is damaged"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_such_picture_is_refused_with_the_reason(what: str) -> None:
    file, said = WRONG[what]

    with pytest.raises(InvalidValueError, match=re.escape(said)) as refused:
        logo_of(file)

    assert "logo" == refused.value.field


def test_the_colours_that_are_judged_by_are_those_of_the_house() -> None:
    tokens = files("heartfly.web").joinpath("css/tokens.css").read_text()
    (light, light_cards), (dark, dark_cards) = (grounds for _, grounds in commands._GROUNDS.values())

    assert f"--bg: light-dark({light}, {dark});" in tokens
    assert f"--surface: light-dark({light_cards}, {dark_cards});" in tokens
    assert f"--accent: light-dark({', '.join(OWN_COLOURS)});" in tokens
    for own, (_, grounds) in zip(OWN_COLOURS, commands._GROUNDS.values(), strict=True):
        assert min(contrast(own, ground) for ground in grounds) >= AA


async def upload(owner: Browser, page: str, file: bytes, *, site: str = "http://beat.example.org") -> tuple[int, str]:
    """As a browser sends a form with a file."""
    parts = [
        b'Content-Disposition: form-data; name="form_token"\r\n\r\n' + (await owner.form_token()).encode(),
        b'Content-Disposition: form-data; name="logo"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + file,
    ]
    body = b"".join(b"--sep\r\n" + part + b"\r\n" for part in parts) + b"--sep--\r\n"
    headers = [("Content-Type", "multipart/form-data; boundary=sep"), ("Origin", site)]
    reply = await owner._ask("POST", f"/p/main/status-pages/{page}/logo", body, headers)
    return reply.status, unescape(reply.body.decode())


async def test_a_logo_is_shown_to_everybody_as_what_it_is_and_goes_again(town: Town) -> None:
    owner = await furnished(town)
    page = await page_id(owner)

    assert (303, "") == await upload(owner, page, png(40, 20, chunk(b"tEXt", b"secret")))

    shown = (await town.nobody.get("/status/acme")).body.decode()
    (address,) = re.findall(r'<img class="logo" src="(/status/acme/look/[0-9a-f]{16}\.png)" alt="">', shown)
    logo = await town.nobody.get(address)
    assert (200, "image/png", png(40, 20)) == (logo.status, logo.headers["content-type"], logo.body)
    assert "nosniff" == logo.headers["x-content-type-options"]
    for none in (address.replace("acme", "other"), "/status/acme/look/x.png", "/status/acme/look/x.svg"):
        assert 404 == (await town.nobody.get(none)).status
    assert 303 == (await owner.post(f"/p/main/status-pages/{page}/logo", {"do": "remove"})).status
    assert 404 == (await town.nobody.get(address)).status
    assert 'class="logo"' not in (await town.nobody.get("/status/acme")).body.decode()
    async with town.world.db.read() as read:
        query = sa.select(audit.c.before, audit.c.after).where(audit.c.action == "status_page.edit")
        entries = (await read.execute(query.order_by(audit.c.id))).all()
    name = address.rpartition("/")[2]
    assert [({"logo_name": ""}, {"logo_name": name}), ({"logo_name": name}, {"logo_name": ""})] == [
        tuple(entry) for entry in entries
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_logo_that_cannot_be_is_told_beside_its_field_and_is_no_ones_elses_to_send(town: Town) -> None:
    owner = await furnished(town)
    page = await page_id(owner)

    status, text = await upload(owner, page, b"<svg/>")
    large, too_large = await upload(owner, page, bytes(90_000))
    none, _ = await upload(owner, page, b"")
    elsewhere, _ = await upload(owner, page, png(), site="http://evil.example")
    headers = [("Content-Type", "multipart/form-data"), ("Origin", "http://beat.example.org")]
    broken = await owner._ask("POST", f"/p/main/status-pages/{page}/logo", b"--x", headers)

    assert (422, True) == (status, '<p class="bad" id="logo-wrong">Must be a PNG or JPEG file.</p>' in text)
    assert (422, True) == (large, "Must have at most 32 kB, not 90." in too_large)
    assert (422, 403, True) == (none, elsewhere, 400 <= broken.status < 500)
    assert 'value="Acme status"' in text
    async with town.world.db.read() as read:
        assert [None] == (await read.execute(sa.select(status_pages.c.logo))).scalars().all()


async def test_colours_are_taken_for_light_and_dark_and_come_as_a_style_sheet(town: Town) -> None:
    owner = await furnished(town)
    page = f"/p/main/status-pages/{await page_id(owner)}"
    assert "colours.css" not in (await town.nobody.get("/status/acme")).body.decode()

    saved = await owner.post(page, FORM | {"rev": "1", "accent": "#0B6E4F", "accent_dark": ""})

    assert 303 == saved.status
    shown = (await town.nobody.get("/status/acme")).body.decode()
    (address,) = re.findall(r'<link rel="stylesheet" href="(/status/acme/look/colours\.css\?[^"]+)">', shown)
    style = await town.nobody.get(address)
    assert ("0b6e4f-x", "text/css") == (address.partition("?")[2], style.headers["content-type"].partition(";")[0])
    assert "--accent: light-dark(#0b6e4f, #a5abff);" in style.body.decode()
    assert 'value="#0b6e4f"' in (await owner.get(page)).body.decode()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("accent", "#a5abff", "Has too little contrast to be read on the light page: 2.05 to 1"),
        ("accent_dark", "#4a48d4", "Has too little contrast to be read on the dark page: 2."),
        ("accent", "url(x)", "Must be a colour such as #4a48d4"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_colour_in_which_nothing_could_be_read_is_refused_beside_its_field(
    town: Town, field: str, value: str, said: str
) -> None:
    owner = await furnished(town)

    refused = await owner.post(f"/p/main/status-pages/{await page_id(owner)}", FORM | {"rev": "1", field: value})

    page = unescape(refused.body.decode())
    wrong = re.search(rf'<p class="bad" id="{field}-wrong">(.*?)</p>', page)
    assert 422 == refused.status
    assert wrong is not None
    assert said in wrong[1]
    assert f'value="{value}"' in page


async def test_an_address_of_a_look_with_what_no_text_may_hold_leads_nowhere(town: Town) -> None:
    await furnished(town)
    for name in ("%00.png", "a%00", "%C3%A9.png"):
        assert 404 == (await town.nobody.get(f"/status/ours/look/{name}")).status
        assert 404 == (await town.nobody.get(f"/status/none/look/{name}")).status
