"""What people write of a check is Markdown, of which nothing loads, runs or leads the page astray."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from typing_extensions import override

from heartfly.web.described import SCHEMES, described
from tests.web.conftest import START, Town
from tests.web.hostile import CORPUS

TAGS = {
    "p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "blockquote", "h3", "a", "div", "button",
}  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "rel"}, "ol": {"start"}, "pre": {"class", "tabindex", "aria-label"}, "div": {"class"},
    "button": {"type", "class"}, "code": set(),
}  # fmt: skip

# Each leads, or loads, where a description must not.
LINKS = (
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java&#115;cript:alert(1)", "javascript&colon;alert(1)",
    "java\\script:alert(1)", "&#x6A;avascript:alert(1)", "vbscript:x", "data:text/html,<script>alert(1)</script>",
    "data:image/svg+xml;base64,PHN2Zz4=", "//evil.example/x", "/p/main/settings/delete", "../delete", "?do=delete",
    "#main", "file:///etc/passwd", "ftp://evil.example/", "blob:x", "%6Aavascript:alert(1)", "\x01javascript:x",
    "http://[", "mailto\x00:x", "view-source:http://x",
)  # fmt: skip
AROUND = (
    "[x]({})", "[x](<{}>)", "![x]({})", "<{}>", "[x]: {}\n\n[x]", '[x]({} "t")', "[![x]({})]({})", "**[x]({})**",
    "- [x]({})", "> [x]({})",
)  # fmt: skip


class Walk(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.wrong += [] if tag in TAGS else [f"<{tag}>"]
        for name, value in attrs:
            if name not in ATTRIBUTES.get(tag, set()):
                self.wrong.append(f"{name}= of <{tag}>")
            if name == "href" and urlsplit(value or "").scheme not in SCHEMES:
                self.wrong.append(f"leads to {value}")

    @override
    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"<!--{data}-->")

    @override
    def handle_decl(self, decl: str) -> None:
        self.wrong.append(f"<!{decl}>")


def wrong_in(text: str) -> list[str]:
    walk = Walk()
    walk.feed(described(text))
    walk.close()
    return walk.wrong


def test_nothing_hostile_becomes_more_than_text() -> None:
    texts = [*CORPUS, *(f"# {one}\n- {one}\n\n> **{one}** `{one}`\n\n```{one}\n{one}\n```\n" for one in CORPUS)]
    texts += [around.replace("{}", one) for around in AROUND for one in (*LINKS, *CORPUS)]

    assert len(texts) > 2_000
    assert [] == [(text, wrong) for text in texts if (wrong := wrong_in(text))]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (
            "**Loads** the `rows`\nof _all_",
            "<p><strong>Loads</strong> the <code>rows</code><br>\nof <em>all</em></p>\n",
        ),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("3. a", '<ol start="3">\n<li>a</li>\n</ol>\n'),
        ("# A\n### B", "<h3>A</h3>\n<h3>B</h3>\n"),  # the page has headings of its own, and none may be skipped
        ("> q", "<blockquote>\n<p>q</p>\n</blockquote>\n"),
        ("<b>&amp;</b>", "<p>&lt;b&gt;&amp;&lt;/b&gt;</p>\n"),
        ("| a |\n|---|", "<p>| a |<br>\n|---|</p>\n"),
        ("#", "<p></p>\n"),
        ("", ""),
    ],
)
def test_a_small_part_of_markdown_is_known(text: str, html: str) -> None:
    assert html == described(text)


def test_links_lead_to_the_web_or_a_mail_and_are_called_something() -> None:
    rel = 'rel="noopener noreferrer nofollow"'
    for text, href, name in (
        ("[book](https://example.com/a?b=1&c)", "https://example.com/a?b=1&amp;c", "book"),
        ('[book](HTTP://example.com "a title")', "HTTP://example.com", "book"),
        ("<mailto:ops@example.com>", "mailto:ops@example.com", "mailto:ops@example.com"),
        ("[](https://example.com)", "https://example.com", "https://example.com"),
        ("[ ](https://example.com)", "https://example.com", "https://example.com "),
    ):
        assert f'<p><a href="{href}" {rel}>{name}</a></p>\n' == described(text)
    assert "<p>[x](/p/main/checks)</p>\n" == described("[x](/p/main/checks)")


def test_a_code_block_can_be_copied_and_what_no_page_can_show_has_a_sign() -> None:
    assert '<code>a &lt;b&gt;\n</code></pre><button type="button" class="copy">' in described("```sh\na <b>\n```")
    assert "<p>a\N{REPLACEMENT CHARACTER}</p>\n" == described("a\x07")


@pytest.mark.parametrize(
    "text",
    ["*" * 10_000, "[" * 10_000, "[a](" * 2_500, "`a" * 5_000, ">" * 10_000, "- " * 5_000, "_a" * 5_000, "> - " * 2_500,
     "[[[[a](http://x)" * 600, "".join("`" * n + "a" for n in range(1, 140)), ("> " * 10 + "a\n") * 450],
)  # fmt: skip
def test_no_description_takes_long(text: str) -> None:
    """Ten thousand characters are all that one may have. By the processor's time, whatever else the machine does."""
    before = time.process_time()
    described(text)
    assert time.process_time() - before < 1


@pytest.mark.anyio
async def test_the_check_s_page_shows_it(town: Town) -> None:
    check = await town.world.check(
        START, name="Load", description="## What to do\nAsk **Ada**.\n<script>alert(1)</script>"
    )

    page = (await (await town.viewer()).get(f"/p/main/checks/{check.uuid}")).body.decode()

    assert "<h3>What to do</h3>\n<p>Ask <strong>Ada</strong>.<br>\n&lt;script&gt;" in page
    assert "<script>alert" not in page
