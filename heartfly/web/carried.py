"""The zone that a reader chose for a page's times (`?tz=`) goes along with its links and forms within the projects.

It is put into the page that is made already: so no link can be forgotten, and none pays for it when nobody chose.
"""

from __future__ import annotations

import re
from functools import cache

from heartfly.web.times import CARRIED


def with_zone(page: bytes, root: str, word: str) -> bytes:
    """`word`: as it was asked for. A link that names a zone itself keeps it."""
    if word not in CARRIED:
        return page
    asked = word.encode()
    links, forms = _patterns(root)

    def linked(found: re.Match[bytes]) -> bytes:
        path, query, rest = found["path"], found["query"] or b"", found["rest"] or b""
        if b"tz=" in query:
            return found[0]
        return b'%b="%b%b%btz=%b%b"' % (found["name"], path, query, b"&amp;" if query else b"?", asked, rest)

    return forms.sub(rb'\g<0><input type="hidden" name="tz" value="%b">' % asked, links.sub(linked, page))


@cache
def _patterns(root: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    # What comes from outside is escaped, so that it holds no quotation mark, and cannot look like an attribute.
    at = re.escape(root.encode())
    link = rb'(?P<name>\bhref|\baction|\bformaction)="(?P<path>%b/p/[^"?#]*)(?P<query>\?[^"#]*)?(?P<rest>#[^"]*)?"' % at
    return re.compile(link), re.compile(rb'<form\b[^>]*\bmethod="get"[^>]*>')
