"""What a TOML file and then the environment say, checked once, at the door.

Nothing here reads the environment or looks for a file by itself: the caller hands both in.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect
from msgspec.structs import FieldInfo, fields

from heartfly.config.settings import Settings
from heartfly.errors import SettingsError

_ENV_NAME = re.compile(r"HEARTFLY_([A-Z0-9]+)__([A-Z0-9_]+)")


def load(path: Path | None, env: Mapping[str, str]) -> Settings:
    """Return the defaults, overlaid by the file, overlaid by `HEARTFLY_SECTION__KEY` variables.

    What comes last wins, so a command line's flags are variables added to a copy of `env`.
    Other variables are ignored. Raises SettingsError, which names the path: `server.port: …`.
    """
    raw = {} if path is None else _read(path)
    set_by: dict[str, str] = {}
    for name, section, key, value in _overrides(env):
        table = raw.setdefault(section, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{section}: Expected a table, as in [{section}]")
        table[key] = value
        set_by[f"{section}.{key}"] = name
    try:
        return msgspec.convert(raw, Settings, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _explained(error, set_by) from error


def sections() -> Iterator[tuple[str, tuple[FieldInfo, ...]]]:
    """Every section with its settings, in the order of the file."""
    for section in fields(Settings):
        yield section.name, fields(section.type)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise SettingsError(f"{path}: {error}") from error


def _overrides(env: Mapping[str, str]) -> Iterator[tuple[str, str, str, object]]:
    known = {f"HEARTFLY_{s}__{f.name}".upper(): (s, f) for s, table in sections() for f in table}
    for name, text in env.items():
        if not _ENV_NAME.fullmatch(name):
            continue
        if name not in known:
            raise SettingsError(f"{name}: There is no such setting{_near(name, known)}")
        section, field = known[name]
        try:
            yield name, section, field.name, _from_text(text, field)
        except msgspec.ValidationError as error:
            raise _explained(error, {}, at=f"{section}.{field.name}", name=name) from error


def _from_text(text: str, field: FieldInfo) -> object:
    """A variable is text: lists are written with commas, and numbers and truth values are read from words."""
    value: object = text
    word = text.lower() in {"true", "false", "1", "0"}
    if isinstance(field.default, tuple) or (isinstance(field.default, bool) and not word):
        value = _listed(text)
    converted = msgspec.convert(value, field.type, strict=False, dec_hook=_decode)
    # Back to what a file could hold, as the whole is checked once more, with its neighbours.
    return msgspec.to_builtins(converted, enc_hook=str)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _explained(
    error: msgspec.ValidationError, set_by: Mapping[str, str], *, at: str = "", name: str = ""
) -> SettingsError:
    """`Expected `int` <= 65535 - at `$.server.port`` becomes `server.port: Expected int <= 65535`."""
    message, _, where = (
        str(error)
        .replace("`", "")
        .replace("Expected object", "Expected a table")
        .replace("float", "number")
        .partition(" - at $")
    )
    path = at + where if at else where.removeprefix(".")
    unknown = re.fullmatch(r"Object contains unknown field (.+)", message)
    nested = re.fullmatch(r"([a-z_.]+(?:\[\d+\])?): (.+)", message)
    other = re.fullmatch(r"Invalid enum value (.+)", message)
    if unknown:
        key = unknown[1]
        here = {s: [f.name for f in table] for s, table in sections()}
        message = f"There is no such setting{_near(key, here.get(path, here))}"
        path = f"{path}.{key}" if path else key
    elif nested:
        path, message = f"{path}.{nested[1]}" if path else nested[1], nested[2]
    elif other and (choices := _choices(path)):
        message = f"Expected one of {', '.join(choices)}, got {other[1]}"
    name = name or set_by.get(path.partition("[")[0], "")
    return SettingsError(f"{path}: {message}" + (f" (set by {name})" if name else ""))


def _choices(path: str) -> list[str]:
    """What the setting at `server.roles[1]` can be, where that is one of few words."""
    section, _, key = path.partition("[")[0].partition(".")
    of_key = (field for name, table in sections() if name == section for field in table if field.name == key)
    kind = next((inspect.type_info(field.type) for field in of_key), None)
    if isinstance(kind, inspect.CollectionType):
        kind = kind.item_type
    if isinstance(kind, inspect.EnumType):
        return [str(word.value) for word in kind.cls]
    return list(map(str, kind.values)) if isinstance(kind, inspect.LiteralType) else []


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError(f"Expected {kind.__name__.lower()}, got {value!r}")
