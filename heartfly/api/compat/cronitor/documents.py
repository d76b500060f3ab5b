"""The bodies of Cronitor's API, JSON and YAML: read within bounds, by types that JSON has, and written.

YAML without aliases: of some hundred bytes of them grows what fills a memory. Only the safe loader is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from heartfly.core.nesting import MAX_DEPTH, too_deep
from heartfly.errors import InvalidValueError

MOST_BYTES = 256 * 1024
MOST_MONITORS = 1_000
GROUPS: Mapping[str, str] = {"jobs": "job", "heartbeats": "heartbeat", "checks": "check", "sites": "site"}
"""Of a configuration, each with the type of what stands in it."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_MOST_DIGITS = 100
_LONG_NUMBER = re.compile(rf"[-+]?[0-9][0-9_:.]{{{_MOST_DIGITS},}}", re.ASCII)
_NO_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """`monitors`: each with its place in the document, such as `monitors[0]` or `jobs.nightly`.

    `nested`: they came by their type and key, and are told so. `rollback`: nothing is to be changed.
    """

    monitors: Sequence[tuple[str, Any]]
    nested: bool
    rollback: bool


def read(raw: bytes, *, as_yaml: bool) -> Document:
    """InvalidValueError: it is none."""
    if len(raw) > MOST_BYTES:
        raise InvalidValueError("", f"the body is larger than {MOST_BYTES // 1024} KiB")
    whole = _yaml(raw) if as_yaml else _json(raw)
    if not isinstance(whole, dict):
        raise InvalidValueError("", "the body must be an object")
    rollback = whole.get("rollback", False)
    if not isinstance(rollback, bool):
        raise InvalidValueError("rollback", "must be true or false")
    # In YAML the groups stand at the top, in JSON below `monitors`.
    found = whole.get("monitors", {} if as_yaml else None)
    if isinstance(found, list):
        monitors, nested = [(f"monitors[{place}]", one) for place, one in enumerate(found)], as_yaml
    elif isinstance(found, dict):
        monitors, nested = list(_of_groups(found if "monitors" in whole else whole)), True
    else:
        raise InvalidValueError("monitors", "is required, and must be a list")
    if len(monitors) > MOST_MONITORS:
        raise InvalidValueError("monitors", f"must be at most {MOST_MONITORS}")
    return Document(monitors, nested, rollback)


def _of_groups(whole: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for group, type_ in GROUPS.items():
        inner = whole.get(group)
        if inner is None:
            continue
        if not isinstance(inner, dict):
            raise InvalidValueError(group, "must be an object, by the key of each monitor")
        for key, one in inner.items():
            told = {} if one is None else one
            yield f"{group}.{key}", {"key": str(key), "type": type_, **told} if isinstance(told, dict) else told


def _json(raw: bytes) -> Any:
    if too_deep(raw):
        raise InvalidValueError("", f"the body must be JSON, nested at most {MAX_DEPTH} deep")
    try:
        return msgspec.json.decode(raw or b"{}")
    except (msgspec.DecodeError, ValueError):  # ValueError: not UTF-8, or a number of 5,000 digits
        raise InvalidValueError("", "the body must be JSON") from None


def _yaml(raw: bytes) -> Any:
    depth = 0
    try:
        text = raw.decode("utf-8")
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
                raise InvalidValueError("", f"YAML is read without aliases, nested at most {MAX_DEPTH} deep")
            if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and _LONG_NUMBER.fullmatch(event.value):
                # Of 1:1:1:…, base 60, each place is a multiplication by itself: seconds for what fits into a body.
                raise InvalidValueError("", f"a number in the YAML has more than {_MOST_DIGITS} digits")
        found: Any = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, InvalidValueError):
            raise
        # A key may be what no dictionary holds, a number what no text becomes.
        raise InvalidValueError("", f"the body must be YAML: {_first_line(error)}") from None
    return {} if found is None else found


def _first_line(error: Exception) -> str:
    return _NO_YAML.sub("?", str(error).strip().partition("\n")[0])[:200]


def grouped(forms: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Monitors by their type and key."""
    names = {type_: group for group, type_ in GROUPS.items()}
    found: dict[str, dict[str, Any]] = {}
    for form in forms:
        found.setdefault(names[form["type"]], {})[form["key"]] = form
    return found


def configuration(forms: Sequence[Mapping[str, Any]], settable: Sequence[str]) -> bytes:
    """YAML of what can be set, which set again changes nothing."""
    some = [
        {name: form[name] for name in ("key", "type", *settable) if form.get(name) not in (None, [], "", False)}
        for form in forms
    ]
    whole = {
        group: {key: {name: one[name] for name in one if name not in {"key", "type"}} for key, one in inner.items()}
        for group, inner in grouped(some).items()
    }
    return written(whole)


def written(value: Any) -> bytes:
    found: str = yaml.dump(value, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
    return found.encode()
