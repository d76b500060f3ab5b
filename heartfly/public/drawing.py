"""A badge in its three shapes: drawn (SVG), and as JSON of Healthchecks' or of Shields' form.

The word is in the picture as text, and in its title for who does not see it; its colour only repeats it. The width of a
text is estimated, and the picture tells the browser to keep to it, whatever font it has.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from heartfly.core.text import shown
from heartfly.public.badges import Badge, States

# White on each of these, and on the label's ground, has a contrast above 4.5.
_COLOURS = {"up": "#13713f", "late": "#8a5500", "down": "#be1e2d"}
_LABEL = "#3f4550"
_SHIELDS = {"up": "success", "late": "important", "down": "critical"}
MOST_LABEL = 60

_NARROW, _WIDE = frozenset("ijltfrI.,:;'|!()[] -"), frozenset("mwMWQOG@%&ABCDHKNRSUVXY")


FORMATS = {"svg": "image/svg+xml", "json": "application/json", "shields": "application/json"}
"""What an address may end in, and its media type."""
HEADERS = {
    "Cache-Control": "public, max-age=30",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Robots-Tag": "noindex",
}


def drawn(badge: Badge, states: States, *, kind: str, label: str = "") -> bytes:
    """`kind`: one of FORMATS. `label`: what it says in the place of its name; cut to MOST_LABEL."""
    label = shown(label)[:MOST_LABEL].strip() or shown(badge.label)
    if kind == "svg":
        return as_svg(badge, states, label=label)
    if kind == "json":
        return msgspec.json.encode(as_json(badge, states))
    return msgspec.json.encode(as_shields(badge, states, label=label))


def as_svg(badge: Badge, states: States, *, label: str) -> bytes:
    word = badge.word(states)
    left, right = _width(label) + 12, _width(word) + 12
    said = f"{label}: {word}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f"aria-label={quoteattr(said)}><title>{escape(said)}</title>"
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath><g clip-path="url(#r)">'
        f'<rect width="{left}" height="20" fill="{_LABEL}"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[word]}"/></g>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f"{_text(label, left / 2, left - 12)}{_text(word, left + right / 2, right - 12)}</g></svg>"
    ).encode()


def as_json(badge: Badge, states: States) -> dict[str, Any]:
    return {"status": badge.word(states), "total": badge.total, "grace": badge.late, "down": badge.down}


def as_shields(badge: Badge, states: States, *, label: str) -> dict[str, Any]:
    word = badge.word(states)
    return {"schemaVersion": 1, "label": label, "message": word, "color": _SHIELDS[word]}


def _text(text: str, middle: float, width: int) -> str:
    return f'<text x="{middle:g}" y="14" textLength="{width}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'


def _width(text: str) -> int:
    """About what it takes in an 11 pixel sans."""
    return max(6, round(sum(_letter(letter) for letter in text)))


def _letter(letter: str) -> float:
    if letter in _NARROW:
        return 4.6
    if letter in _WIDE:
        return 8.6
    return 7.0 if ord(letter) < 0x1100 else 11.0
