"""What is said of a key that nothing is called: where it stands, and the nearest that there is."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Sequence
from typing import Any, Union, get_args, get_origin

import msgspec

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_LIKE = 0.6


def unknown(name: str, known: Iterable[str]) -> str:
    """What is wrong with `name`."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=_LIKE)
    return (
        f"is not known here; did you mean {close[0]}?" if close else f"is not known here; known are {', '.join(names)}"
    )


def named(said: str, path: str, shape: Any) -> tuple[str, str]:
    """The path and the words of what msgspec `said` of something that was to be of this shape; as it said it, where
    it is about no key.
    """
    found = _UNKNOWN.fullmatch(said)
    if found is None:
        return path, said[:1].lower() + said[1:]
    return f"{path}.{found[1]}" if path else found[1], unknown(
        found[1], _keys_at(shape, re.findall(r"[^.\[\]]+", path))
    )


def _keys_at(shape: Any, path: Sequence[str]) -> list[str]:
    """Of the structure that stands there."""
    here = _structure(shape)
    for part in path:
        if here is None:
            return []
        shapes = {one.encode_name: one.type for one in msgspec.structs.fields(here)}
        here = _structure(shapes[part]) if part in shapes else here  # else it is a place in a list
    return [] if here is None else [one.encode_name for one in msgspec.structs.fields(here)]


def _structure(shape: Any) -> type[msgspec.Struct] | None:
    """What a shape is made of, whether it may be none of it, or many."""
    if isinstance(shape, type) and issubclass(shape, msgspec.Struct):
        return shape
    if get_origin(shape) in {Union, types.UnionType, list, tuple, Sequence}:
        return next((found for one in get_args(shape) if (found := _structure(one)) is not None), None)
    return None
