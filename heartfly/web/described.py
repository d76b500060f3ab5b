"""What people write of a check, as Markdown: a small part of it, and nothing that loads, runs or leads the page astray.

What is known is listed here, rule by rule; whatever else somebody writes (HTML, images, tables) stays the text that it
is. A link leads to the web or to a mail only. Our own documents have more (markdown.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from heartfly.core.text import shown
from heartfly.web.markdown import Renderer

RULES = (
    "blockquote", "code", "fence", "heading", "list",
    "newline", "escape", "entity", "backticks", "emphasis", "link", "autolink",
    "balance_pairs", "fragments_join",
)  # fmt: skip
"""Of the parser. Not in it, among others: html_block, html_inline, image, reference, table."""
SCHEMES = frozenset({"http", "https", "mailto"})
DEEPEST = 12
"""Quotes and lists within one another; what is deeper is left out."""

_MARKDOWN = MarkdownIt("zero", {"html": False, "breaks": True, "maxNesting": DEEPEST}, renderer_cls=Renderer)
_MARKDOWN.enable(list(RULES))


def is_safe(url: str) -> bool:
    """An address with a scheme that is known: what has none would lead into these pages."""
    try:
        return urlsplit(url).scheme.lower() in SCHEMES
    except ValueError:
        return False


_MARKDOWN.validateLink = is_safe  # type: ignore[method-assign] # that is how the library is told


def described(text: str) -> Markup:
    tokens = _MARKDOWN.parse(shown(text))
    for place, token in enumerate(tokens):
        if token.type in {"heading_open", "heading_close"}:
            # Its page has a heading for it; one without words would be none.
            inline = tokens[place + 1 if token.nesting > 0 else place - 1]
            token.tag = "h3" if inline.content.strip() else "p"
        if token.children:
            _demand_words(token.children)
            for child in token.children:
                if child.type == "link_open":
                    child.attrSet("rel", "noopener noreferrer nofollow")
                    child.attrs.pop("title", None)
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S704 - of what escapes all text


def _demand_words(children: list[Token]) -> None:
    """A link that has none is called as its address is."""
    place = 0
    while place < len(children):
        if children[place].type == "link_open" and not _has_words(children[place + 1 :]):
            name = Token("text", "", 0, content=str(children[place].attrs["href"]))
            children.insert(place + 1, name)
        place += 1


def _has_words(behind: Sequence[Token]) -> bool:
    for one in behind:
        if one.type == "link_close":
            return False
        if one.content.strip():
            return True
    return False
