"""What a ping said, as it is read: colours, line numbers, words that are looked for, what differs from a success."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from time import thread_time

import pytest

from heartfly.core.outputs import plain, split
from heartfly.core.words import PingKind
from heartfly.web.body_view import has_commands, lines_of
from tests.sim_clock import SimClock
from tests.web.conftest import START, Town
from tests.web.hostile import HOSTILE
from tests.web.test_pages import text_of
from tests.web.test_views import page_of

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
PATH = "/p/main/checks/backup/events"


def pieces(text: str, *, colours: bool = True, find: str = "") -> list[list[tuple[str, str, bool]]]:
    found = lines_of(text, colours=colours, find=find)
    return [[(piece.classes, piece.text, piece.is_found) for piece in line.pieces] for line in found]


def told(text: str) -> list[list[tuple[str, str]]]:
    return [[(classes, said) for classes, said, _ in line] for line in pieces(text)]


# --- a terminal's output -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", [("", "plain")]),
        ("\x1b[31mred\x1b[0m not", [("a1", "red"), ("", " not")]),
        ("\x1b[1;32mok\x1b[22m ok\x1b[39m.", [("a2 ab", "ok"), ("a2", " ok"), ("", ".")]),
        ("\x1b[91;44mx\x1b[49my\x1b[mz", [("a1 b4", "x"), ("a1", "y"), ("", "z")]),
        (
            "\x1b[38;5;3mx\x1b[38;5;200my\x1b[38;2;1;2;3mz\x1b[48:5:1mw",
            [("a3", "x"), ("a3", "y"), ("a3", "z"), ("a3 b1", "w")],
        ),
        ("\x1b[38mx\x1b[38;5mx\x1b[38;9;1mx", [("", "x"), ("", "x"), ("ab", "x")]),
        ("\x1b[1m\x1b[1;3;4mx\x1b[23;24my", [("ab ai au", "x"), ("ab", "y")]),
        ("\x1b[2Ka\x1b[?25lb\x1b]0;title\x07c\x1b]8;;http://x\x1b\\d\x1b(Be\x1bMf", [("", one) for one in "abcdef"]),
        ("\x1b[999999999999mx", [("", "x")]),
        ("broken \x1b[31", [("", "broken \x1b[31")]),
    ],
)
def test_colours_become_classes_and_every_other_command_goes(text: str, wanted: list[tuple[str, str]]) -> None:
    assert [wanted] == told(text)
    assert "".join(said for _, said in wanted) == plain(text)


def test_a_colour_goes_on_to_the_next_line_and_is_taken_out_if_asked() -> None:
    text = "a\x1b[31mb\nc\r\n\rd\x1b[0m\n"
    assert [[("", "a"), ("a1", "b")], [("a1", "c")], [], [("a1", "d")]] == told(text)
    assert [[("", "ab", False)], [("", "c", False)], [("", "", False)], [("", "d", False)]] == pieces(
        text, colours=False
    )
    assert (True, False) == (has_commands(text), has_commands(plain(text)))


@pytest.mark.parametrize(
    ("text", "wanted"), [("", []), ("a", ["a"]), ("a\n", ["a"]), ("a\n\n", ["a", ""]), ("a\x0bb", ["a\x0bb"])]
)
def test_lines_are_counted_as_an_editor_does(text: str, wanted: list[str]) -> None:
    assert wanted == split(text)


def test_what_is_looked_for_is_marked_across_colours_and_in_any_case() -> None:
    assert [[("", "an ", False), ("", "ER", True), ("a1", "ror", True), ("a1", "s", False)]] == pieces(
        "an ER\x1b[31mrors", find="error"
    )
    assert [[("", "a", True), ("", "a", True), ("", "b", False)], [("", "c", False)]] == pieces("aab\nc", find="A")
    assert [False, True] == [line.has_found for line in lines_of("b\n(a.*)", colours=True, find="(A.*)")]


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[" * 50_000, "\x1b]" * 50_000, "\x1b[1;" * 25_000, "\x1b[" + "1;" * 50_000, "\x1b[31m" * 20_000,
        "x" * 100_000, "\x1b[31mx" * 15_000, "ax" * 50_000,
    ],
)  # fmt: skip
def test_no_output_takes_long_to_read_or_to_be_looked_through(text: str) -> None:
    began = thread_time()
    lines_of(text, colours=True, find="x")
    assert thread_time() - began < 3


# --- the page ------------------------------------------------------------------------------------


async def said(town: Town, clock: SimClock, *bodies: tuple[PingKind, bytes]) -> None:
    check = await town.world.check(START, name="Backup", slug="backup")
    for n, (kind, body) in enumerate(bodies):
        await town.world.ping(check, START + n * MINUTE, kind, body=body, body_size=len(body))
    clock.move_to(START + 10 * MINUTE)


async def test_each_way_of_reading_is_a_link_and_they_go_together(town: Town, clock: SimClock) -> None:
    await said(town, clock, (PingKind.FAIL, b"\x1b[31merror\x1b[0m: no route\nnext <b>\n"))
    browser = await town.owner()
    page = await page_of(browser, f"{PATH}/1")

    assert (
        '<li id="L1"><a class="ln" href="#L1" aria-label="Line 1">1</a><span><span class="a1">error</span>: no route'
        in page
    )
    assert "next &lt;b&gt;" in page
    links = {word: query for query, word in re.findall(r'href="[^"?]*(\?[^"]*)">([^<]+)</a>', page)}
    assert {
        "Without colours": "?ansi=strip",
        "Do not wrap": "?wrap=off",
        "Compare with the last success": "?diff=1",
        "Download": "?download=1",
    } == links
    page = await page_of(browser, f"{PATH}/1?ansi=strip&wrap=off&find=ROUTE")
    assert "<span>error: no <mark>route</mark></span>" in page
    assert 'class="output long"' in page
    assert "In 1 line: 1 ." in await text_of(browser, f"{PATH}/1?find=route")
    links = {word: unescape(query) for query, word in re.findall(r'href="[^"?]*(\?[^"]*)">([^<]+)</a>', page)}
    assert ("?wrap=off&find=ROUTE", "?ansi=strip&find=ROUTE", "?ansi=strip&wrap=off") == (
        links["With colours"], links["Wrap lines"], links["Clear"],
    )  # fmt: skip
    assert "In no line" in await text_of(browser, f"{PATH}/1?find=zzz")
    assert "What you look for" in await text_of(browser, f"{PATH}/1?find=a%00b", 422)


async def test_json_is_laid_out_and_looked_through_as_it_is_shown(town: Town, clock: SimClock) -> None:
    await said(town, clock, (PingKind.SUCCESS, b'{"rows":12,"took":1.50}'))
    browser = await town.owner()
    assert "Without colours" not in await page_of(browser, f"{PATH}/1")
    assert "In 1 line: 3 ." in await text_of(browser, f"{PATH}/1?view=pretty&find=took")
    assert "In 1 line: 1 ." in await text_of(browser, f"{PATH}/1?find=took")


async def test_it_is_compared_with_the_last_success_that_said_something(town: Town, clock: SimClock) -> None:
    await said(
        town, clock,
        (PingKind.SUCCESS, b"older\n"), (PingKind.SUCCESS, b"begin\nrows 12\nend\n"), (PingKind.SUCCESS, b""),
        (PingKind.FAIL, b"begin\n\x1b[31mno <i>route</i>\x1b[0m\nend\n"), (PingKind.SUCCESS, b"begin\nrows 12\nend\n"),
    )  # fmt: skip
    browser = await town.owner()
    page = await page_of(browser, f"{PATH}/4?diff=1")

    assert re.search(r'Compared with <a href="[^"]*/events/2">#2</a>', page)
    assert ["− rows 12"] == re.findall(r"<del>([^<]*)</del>", page)
    assert ["+ no &lt;i&gt;route&lt;/i&gt;"] == re.findall(r"<ins>([^<]*)</ins>", page)
    assert re.search(r'href="[^"]*/events/4#L2"', page)
    assert "It says the same as #2 , the last success" in await text_of(browser, f"{PATH}/5?diff=1")
    assert "nothing to compare with" in await text_of(browser, f"{PATH}/1?diff=1")
    assert 'id="L1"' in await page_of(browser, f"{PATH}/1?diff=1")


async def test_of_a_run_that_failed_it_is_told_unasked_what_is_different(town: Town, clock: SimClock) -> None:
    await said(
        town, clock,
        (PingKind.SUCCESS, b"2026-03-01 02:00:07 begin\n12 rows in 3.5 s\n"),
        (PingKind.FAIL, b"2026-03-02 02:00:09 begin\n0 rows in 0.2 s\nno route\n"),
        (PingKind.FAIL, b"2026-03-03 02:00:01 begin\n12 rows in 99 s\n"),
        (PingKind.SUCCESS, b"nothing alike"),
    )  # fmt: skip
    browser = await town.owner()
    page = await page_of(browser, f"{PATH}/2")

    assert "What is different from the last success" in page
    assert ["− 12 rows in 3.5 s"] == re.findall(r"<del>([^<]*)</del>", page)
    assert ["+ 0 rows in 0.2 s", "+ no route"] == re.findall(r"<ins>([^<]*)</ins>", page)
    assert re.search(r'href="[^"]*/events/2#L3"', page)
    assert 'id="L3"' in page
    page = await page_of(browser, f"{PATH}/2?diff=1&numbers=off")
    assert ["+ no route"] == re.findall(r"<ins>([^<]*)</ins>", page)
    assert "Let numbers count" in page
    assert "Nothing: it says the same as #1 ." in await text_of(browser, f"{PATH}/3")
    for n in (1, 4):
        assert "What is different" not in await page_of(browser, f"{PATH}/{n}")


async def test_a_long_difference_is_cut_with_a_link_to_all_of_it(town: Town, clock: SimClock) -> None:
    long = "".join(f"{'x' * n}!\n" for n in range(100)).encode()
    await said(town, clock, (PingKind.SUCCESS, b"fine"), (PingKind.FAIL, long))
    browser = await town.owner()
    page = await page_of(browser, f"{PATH}/2")

    assert 40 == page.count("<del>") + page.count("<ins>")
    assert "see all that differs" in page
    page = await page_of(browser, f"{PATH}/2?diff=1")
    assert 101 == page.count("<del>") + page.count("<ins>")


async def test_hostile_output_is_only_text_in_each_way_of_reading(town: Town, clock: SimClock) -> None:
    before = "\n".join(HOSTILE)
    now = "\n".join(f"\x1b[31m{text[:2]}\x1b[0m{text[2:]} <script>" for text in HOSTILE)
    await said(town, clock, (PingKind.SUCCESS, before.encode()), (PingKind.FAIL, now.encode()))
    browser = await town.owner()
    for query in ("", "?ansi=strip", "?diff=1", "?wrap=off&find=%3Cscript%3E", "?diff=1&find=%22%3E%3Cscript%3E"):
        page = await page_of(browser, f"{PATH}/2{query}")
        assert 2 >= page.count("<script")
        assert not re.search(r"<(?:img|iframe|svg [^>]*on|a [^>]*javascript)", page)
