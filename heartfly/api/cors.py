"""Which pages of other origins may read: a browser asks, and refuses what it is not allowed.

Only origins that the settings name, only reading, and only with a key that the page itself has: never with
cookies or whatever else a browser would add by itself (`Access-Control-Allow-Credentials` is never sent).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

ANY = "*"
_READS = ("GET", "HEAD")
_PREFLIGHT = {
    b"access-control-allow-methods": b"GET, HEAD",
    b"access-control-allow-headers": b"Authorization",
    b"access-control-max-age": b"600",
}
_EXPOSED = b"ETag, Retry-After"

Headers = dict[bytes, bytes]


def is_preflight(method: str, given: Mapping[bytes, bytes]) -> bool:
    """A question about a request to come, which is asked without its key."""
    return method == "OPTIONS" and b"origin" in given and b"access-control-request-method" in given


def allowed(origins: Collection[str], method: str, given: Mapping[bytes, bytes]) -> Headers:
    """What an answer says to the browser. Without origins in the settings: nothing, not even that it depends."""
    if not origins:
        return {}
    # Whatever stands between must not hand one origin's answer to another.
    varies: Headers = {b"vary": b"Origin"}
    asked = given.get(b"access-control-request-method", b"").decode("latin-1") if method == "OPTIONS" else method
    origin = given.get(b"origin", b"")
    if asked not in _READS or not (ANY in origins or origin.decode("latin-1") in origins) or not origin:
        return varies
    told = varies | {b"access-control-allow-origin": b"*" if ANY in origins else origin}
    return told | (_PREFLIGHT if method == "OPTIONS" else {b"access-control-expose-headers": _EXPOSED})
