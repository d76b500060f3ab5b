"""Our own documents, from Markdown to HTML as the pages' rules allow it: none by hand, no `style`; with anchors.

CommonMark with tables, as it is written in docs/. What a link leads to is for whoever asks to say (bookshelf.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup
from typing_extensions import override

_REMARK = re.compile(r"^<!--.*-->$\n?", re.MULTILINE)
"""For tests, such as which block is run; nobody reads it."""
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Document:
    """`title`: the first heading, which `body` has no more."""

    title: str
    headings: Sequence[Heading]
    body: Markup


class Renderer(RendererHTML):
    """Called by the name of each kind of token."""

    @override
    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _block(tokens[idx].content)

    @override
    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _block(tokens[idx].content)

    def table_open(self, _tokens: Sequence[Token], _at: int, _options: OptionsDict, _env: EnvType) -> str:
        return '<div class="scroll"><table>\n'

    def table_close(self, _tokens: Sequence[Token], _at: int, _options: OptionsDict, _env: EnvType) -> str:
        return "</table></div>\n"

    @staticmethod
    @override
    def renderAttrs(token: Token) -> str:
        if (style := token.attrs.pop("style", None)) is not None and "right" in str(style):
            token.attrSet("class", "num")
        return RendererHTML.renderAttrs(token)


_MARKDOWN = MarkdownIt("commonmark", {"html": False}, renderer_cls=Renderer).enable("table")


def document(text: str, *, link: Callable[[str], str]) -> Document:
    """`link`: from what stands in the text to where a page leads."""
    tokens = _MARKDOWN.parse(_REMARK.sub("", text))
    headings = list(_anchored(tokens))
    for token in tokens:
        for child in token.children or ():
            for name in {"link_open": ("href",), "image": ("src",)}.get(child.type, ()):
                child.attrSet(name, link(str(child.attrs[name])))
    title, rest = "", tokens
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        title, rest = headings[0].text, tokens[3:]
    body = _MARKDOWN.renderer.render(rest, _MARKDOWN.options, {})
    return Document(title, headings, Markup(body))  # noqa: S704 - made here, of what escapes all text


def anchor_of(text: str) -> str:
    """As GitHub makes it of a heading, so that links hold in both places."""
    return _NOT_IN_ANCHORS.sub("", text.lower()).replace(" ", "-")


def _anchored(tokens: Sequence[Token]) -> Sequence[Heading]:
    found: list[Heading] = []
    for opening, inside in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in inside.children or () if child.type in {"text", "code_inline"})
        anchor = anchor_of(inside.content)
        same = sum(one.anchor == anchor for one in found)
        found.append(Heading(int(opening.tag[1:]), text, f"{anchor}-{same}" if same else anchor))
        opening.attrSet("id", found[-1].anchor)
    return found


def _block(text: str) -> str:
    block = f'<pre class="code" tabindex="0" aria-label="Code"><code>{escape(text)}</code></pre>'
    return f'<div class="copied">{block}<button type="button" class="copy">Copy</button></div>\n'
