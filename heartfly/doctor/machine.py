"""What the machine has to offer: SQLite, files and who may read them, room, the clock, time zones, the address."""

from __future__ import annotations

import os
import re
import stat
import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import tzdata

from heartfly.db.room import Room
from heartfly.doctor.finding import Finding, error, ok, warning
from heartfly.net.addresses import forbidden_reason

LEAST_SHARE = 0.05
LEAST_BYTES = 200_000_000
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right shows an earlier time to this program."""


def sqlite_version(version: tuple[int, int, int]) -> Finding:
    """Two connections that checkpoint and write at one time could damage a file up to 3.51.2, and in 3.52.0, which was
    withdrawn. Of ours only one does either.
    """
    found = f"SQLite {'.'.join(map(str, version))}"
    if version >= (3, 51, 3) and version[:2] != (3, 52):
        return ok("sqlite", found)
    return warning(
        "sqlite",
        f"{found} has the WAL-reset bug (fixed in 3.51.3); Heartfly itself is safe, as one connection writes",
        "Let no other program write or checkpoint the database while Heartfly serves (Litestream, the sqlite3 shell).",
    )


def directory(data_dir: Path) -> Finding:
    if not data_dir.exists():
        return ok("data directory", f"{data_dir} is not there yet; `heartfly serve` makes it")
    mode = stat.S_IMODE(data_dir.stat().st_mode)
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        return error("data directory", f"this user may not write in {data_dir}", "Run as its owner, or chown it.")
    if mode & 0o022:
        return error("data directory", f"others may write in {data_dir} ({mode:04o})", f"Run chmod 700 {data_dir}")
    if mode & 0o077:
        return warning("data directory", f"others may look into {data_dir} ({mode:04o})", f"Run chmod 700 {data_dir}")
    return ok("data directory", f"only its owner may look into {data_dir}")


def key_file(path: Path) -> Finding:
    if not path.exists():
        return ok("secret key", f"{path} is not there yet; `heartfly serve` makes it")
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.R_OK):
        return error("secret key", f"this user may not read {path}", "Run as its owner, or chown it.")
    if mode & 0o077:
        return error("secret key", f"others may read {path} ({mode:04o})", f"Run chmod 600 {path}")
    if len(path.read_bytes().split()) > 1:
        found = f"{path} holds two keys: a change of keys has not ended"
        return warning("secret key", found, "Stop the server and run `heartfly rotate-key`: it goes on where it was.")
    return ok("secret key", f"only its owner may read {path}")


def database_files(path: Path) -> Finding:
    """Of SQLite: the file and those beside it. Bodies of pings and addresses of people stand in them."""
    files = [each for end in ("", "-wal", "-shm") if (each := path.with_name(path.name + end)).exists()]
    open_to_others = [each for each in files if stat.S_IMODE(each.stat().st_mode) & 0o077]
    if open_to_others:
        named = " ".join(str(each) for each in open_to_others)
        modes = ", ".join(f"{each.name} {stat.S_IMODE(each.stat().st_mode):04o}" for each in open_to_others)
        return warning("database files", f"others may read or write them ({modes})", f"Run chmod 600 {named}")
    if not files:
        return ok("database files", f"{path} is not there yet; `heartfly serve` makes it")
    return ok("database files", f"only its owner may read {path}")


def disk(folder: Path, found: Room) -> Finding:
    told = f"{found.free / 1e6:.0f} MB free ({found.share:.0%}) for {folder}"
    if found.share < LEAST_SHARE or found.free < LEAST_BYTES:
        return warning("disk", told, "Make room: on a full disk pings are refused with 503.")
    return ok("disk", told)


def clock(now: datetime) -> Finding:
    if now < _BUILT:
        return error(
            "clock", f"the clock shows {now:%Y-%m-%d}", "Set it, and keep it right with NTP: deadlines go by it."
        )
    return ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def zones(now: datetime, *, folders: Sequence[str] | None = None, package: str = tzdata.IANA_VERSION) -> Finding:
    """Python takes zones from the system, if it has them, else from a package."""
    folder = _system(zoneinfo.TZPATH if folders is None else folders)
    version = package if folder is None else _version(folder)
    where = "the tzdata package" if folder is None else str(folder)
    if version is None:
        return ok("time zones", f"from {where}, which does not tell its version")
    advice = "Upgrade tzdata of the system." if folder is not None else "Upgrade it: pip install -U tzdata"
    told = f"version {version}, from {where}"
    if folder is not None and version < package:
        return warning("time zones", f"{told}; {package} is known", advice)
    if int(version[:4]) < now.year - 1:
        return warning("time zones", f"{told}, which is old: rules for clock changes may be wrong", advice)
    return ok("time zones", told)


def _system(folders: Sequence[str]) -> Path | None:
    return next((Path(folder) for folder in folders if (Path(folder) / "Europe" / "Berlin").exists()), None)


def _version(folder: Path) -> str | None:
    for name in ("tzdata.zi", "+VERSION"):
        if (folder / name).is_file():
            with (folder / name).open(encoding="utf-8", errors="replace") as opened:
                told = re.search(r"\b(\d{4}[a-z]{1,2})\b", opened.readline(200))
            if told is not None:
                return told[1]
    return None


def address(public_url: str) -> Finding:
    url = urlsplit(public_url)
    if url.scheme == "http" and _is_public(url.hostname or ""):
        return warning(
            "base_url",
            f"{public_url} is plain http on a public host: ping addresses and keys can be read on the way",
            "Put a reverse proxy with TLS in front, and set server.base_url to https://…",
        )
    return ok("base_url", public_url)


_OWN = (".local", ".localhost", ".lan", ".home", ".internal", ".intranet", ".home.arpa", ".test")


def _is_public(host: str) -> bool:
    """A name with a dot is public unless it ends like one of a network of one's own."""
    try:
        ip_address(host)
    except ValueError:
        return "." in host.rstrip(".") and not host.rstrip(".").lower().endswith(_OWN)
    return forbidden_reason(host, ()) is None
