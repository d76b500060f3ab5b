"""Where jobs stand on a machine or in files: crontabs, timers, manifests, workflows. What they say is core's to read.

`root` is another machine's file system, or an image's, as it is mounted here. Nothing is changed by looking.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import rich_click as click

from heartfly.core.scheduled import crontab_text, manifests, systemd_units, workflows
from heartfly.core.scheduled.found import Found, Left
from heartfly.core.scheduled.systemd_units import Timer
from heartfly.core.zones import is_zone

OWN = "crontab -l"
STDIN = "-"
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")
"""Debian's place, and others'."""
UNIT_FOLDERS = (
    "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
    "/lib/systemd/system",
)  # fmt: skip
"""The first that has a unit counts."""
_CRON_D_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_MOST_BYTES = 4_000_000
_LIMIT_S = 20.0
_SHOWN = "Id,FragmentPath,TimersCalendar,TimersMonotonic,RandomizedDelayUSec,AccuracyUSec,Persistent,Unit,ActiveState"
_NOT_A_TEXT = "it is longer than 4 MB, or no file"
_NO_FILE = "there is no such file"


@dataclass(frozen=True, kw_only=True)
class Here:
    """What was found, and where was looked. `paths` and `texts`: of each crontab by its name in what was found."""

    found: Found = field(default_factory=Found)
    files: Sequence[str] = ()
    folders: Sequence[str] = ()
    paths: dict[str, Path] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: Here) -> Here:
        return Here(
            found=self.found + other.found,
            files=[*self.files, *other.files],
            folders=[*self.folders, *other.folders],
            paths=self.paths | other.paths,
            texts=self.texts | other.texts,
        )


def machine_zone(root: Path) -> str:
    """What its clock shows; UTC where that is not said."""
    link = root / "etc/localtime"
    if link.is_symlink():
        _, there, name = str(link.readlink()).partition("zoneinfo/")
        if there and is_zone(name):
            return name
    path = root / "etc/timezone"
    name = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
    return name if is_zone(name) else "UTC"


def machine_name(root: Path) -> str:
    path = root / "etc/hostname"
    if root != Path("/") and path.is_file():
        return path.read_text(encoding="utf-8", errors="replace").strip().partition(".")[0]
    return socket.gethostname().partition(".")[0]


# --- crontabs ----------------------------------------------------------------------------------------


def crontabs_of_machine(root: Path, *, zone: str, now: datetime) -> Here:
    """The system's, and of users those that one may see: all for root, one's own for others."""
    here = Here(folders=["/etc/cron.d"])
    system = root / "etc/crontab"
    if system.is_file():
        here += _crontab("/etc/crontab", system, zone=zone, now=now, system=True)
    for path in _entries(root / "etc/cron.d"):
        where = f"/etc/cron.d/{path.name}"
        if _CRON_D_NAME.fullmatch(path.name):
            here += _crontab(where, path, zone=zone, now=now, system=True)
        elif not path.name.startswith("."):
            left = Left(where=where, text=path.name, why="cron passes over files with such a name")
            here += Here(found=Found([], [left]), files=[where])
    shown = next((one for one in SPOOLS if (root / one.lstrip("/")).is_dir()), "")
    spool = root / shown.lstrip("/")
    if shown and os.access(spool, os.R_OK | os.X_OK):
        here += Here(folders=[shown])
        for path in _entries(spool):
            if not path.name.startswith("."):
                here += _crontab(f"{shown}/{path.name}", path, zone=zone, now=now, system=False, user=path.name)
    elif root == Path("/") and shutil.which("crontab"):
        here += own_crontab(zone=zone, now=now)
    return here


def own_crontab(*, zone: str, now: datetime) -> Here:
    text = installed_crontab()
    found = crontab_text.read(text, where=OWN, zone=zone, now=now, system=False, user=getpass.getuser())
    return Here(found=found, files=[OWN], texts={OWN: text})


def installed_crontab() -> str:
    """Of the user who asks; empty if he has none."""
    done = _ran("crontab", "-l")
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""


def install_crontab(text: str) -> None:
    """In the place of the own one. ClickException."""
    done = _ran("crontab", "-", given=text.encode("utf-8", "surrogateescape"))
    if done.returncode:
        raise click.ClickException(f"crontab did not take it: {done.stderr.decode(errors='replace').strip()[:300]}")


def crontab_files(files: Sequence[str], *, system: bool | None, zone: str, now: datetime) -> Here:
    """`system`: whether each line names its user; None: as the place of the file says."""
    here = Here()
    for name in files:
        if name == STDIN:
            text = sys.stdin.buffer.read(_MOST_BYTES + 1).decode("utf-8", "surrogateescape")
            found = crontab_text.read(text, where="standard input", zone=zone, now=now, system=bool(system))
            here += Here(found=found, files=["standard input"], texts={"standard input": text})
            continue
        path = Path(name).absolute()
        is_system = system if system is not None else path == Path("/etc/crontab") or path.parent.name == "cron.d"
        here += _crontab(str(path), path, zone=zone, now=now, system=is_system)
    return here


def _crontab(where: str, path: Path, *, zone: str, now: datetime, system: bool, user: str = "") -> Here:
    text = _text(path)
    if text is None:
        why = _NOT_A_TEXT if path.exists() else _NO_FILE
        return Here(found=Found([], [Left(where=where, text=path.name, why=why)]), files=[where])
    found = crontab_text.read(text, where=where, zone=zone, now=now, system=system, user=user)
    return Here(found=found, files=[where], paths={where: path}, texts={where: text})


# --- timers ------------------------------------------------------------------------------------------


def timers_of_machine(root: Path, *, zone: str, now: datetime) -> Here:
    """As systemd says, where it runs; else, and of another file system, out of the unit files."""
    if root == Path("/") and (said := _systemctl()):
        units = _Units(root)
        found = systemd_units.shown(said, zone=zone, now=now, services=units.services())
        return Here(found=found, folders=UNIT_FOLDERS)
    units = _Units(root)
    return Here(found=systemd_units.read(list(units.timers()), zone=zone, now=now), folders=UNIT_FOLDERS)


def timer_files(files: Sequence[str], *, zone: str, now: datetime) -> Here:
    """Files of timers, with the service beside them; `-`: what `systemctl show` said, on standard input."""
    here = Here()
    for name in files:
        if name == STDIN:
            said = sys.stdin.buffer.read(_MOST_BYTES + 1).decode("utf-8", "replace")
            here += Here(found=systemd_units.shown(said, zone=zone, now=now), files=["systemctl"])
            continue
        path = Path(name).absolute()
        texts = [_demanded(path)]
        unit = systemd_units.unit_of(path.name, texts)
        services = [_demanded(path.with_name(unit))] if unit and path.with_name(unit).is_file() else []
        timer = Timer(name=path.name, where=str(path), texts=texts, service=services)
        here += Here(found=systemd_units.read([timer], zone=zone, now=now), files=[str(path)])
    return here


def _systemctl() -> str:
    """Empty where systemd does not run."""
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None:
        return ""
    done = _ran("systemctl", "show", "--all", f"--property={_SHOWN}", "*.timer")
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


class _Units:
    """Unit files as systemd finds them: the first folder that has one counts, drop-ins come from all."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders = [(folder, root / folder.lstrip("/")) for folder in UNIT_FOLDERS]

    def timers(self) -> Iterator[Timer]:
        seen: set[str] = set()
        for shown, folder in self._folders:
            for path in sorted(folder.glob("*.timer")) if folder.is_dir() else ():
                if path.name in seen:
                    continue
                seen.add(path.name)
                texts = self._texts(path.name)
                if not texts:
                    continue  # it is masked: a link to nowhere
                yield Timer(
                    name=path.name,
                    where=f"{shown}/{path.name}",
                    texts=texts,
                    service=self._texts(systemd_units.unit_of(path.name, texts)),
                    off="" if self._is_wanted(path.name) else "it is not enabled",
                )

    def services(self) -> dict[str, Sequence[str]]:
        names = {
            path.name for _, folder in self._folders if folder.is_dir() for path in folder.glob("*.service")
        }  # fmt: skip
        return {name: self._texts(name) for name in names}

    def _texts(self, name: str) -> Sequence[str]:
        own = next((text for _, folder in self._folders if (text := self._read(folder / name)) is not None), None)
        if not own:
            return []
        drop_ins: dict[str, Path] = {}
        for _, folder in reversed(self._folders):
            drop_ins |= {path.name: path for path in sorted((folder / f"{name}.d").glob("*.conf"))}
        more = (self._read(drop_ins[one]) for one in sorted(drop_ins))
        return [own, *(text for text in more if text)]

    def _read(self, path: Path) -> str | None:
        """None: there is none. Links lead within the root."""
        if path.is_symlink():
            target = str(path.readlink())
            path = self._root / target.lstrip("/") if target.startswith("/") else path.parent / target
            if target == os.devnull:
                return ""
        return _text(path) if path.is_file() else None

    def _is_wanted(self, name: str) -> bool:
        return any(
            os.path.lexists(wants / name)
            for _, folder in self._folders
            if folder.is_dir()
            for pattern in ("*.wants", "*.requires")
            for wants in folder.glob(pattern)
        )


# --- manifests and workflows -------------------------------------------------------------------------


def manifest_files(files: Sequence[str], *, zone: str, now: datetime) -> Here:
    """`-`: standard input, which is what `kubectl get cronjobs -A -o yaml` prints."""
    here = Here()
    for where, text in _yaml_files(files):
        here += Here(found=manifests.read(text, where=where, zone=zone, now=now), files=[where])
    return here + Here(folders=[str(Path(name).absolute()) for name in files if Path(name).is_dir()])


def workflow_files(files: Sequence[str], *, now: datetime) -> Here:
    """Without any: those of the repository in which one stands."""
    if not files:
        folder = Path(".github/workflows")
        if not folder.is_dir():
            raise click.UsageError("There is no .github/workflows here: name the files, or the folder.")
        files = [str(folder)]
    here = Here()
    for where, text in _yaml_files(files):
        here += Here(found=workflows.read(text, where=where, now=now), files=[where])
    return here + Here(folders=[str(Path(name).absolute()) for name in files if Path(name).is_dir()])


def _yaml_files(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in files:
        if name == STDIN:
            yield "standard input", sys.stdin.buffer.read(_MOST_BYTES + 1).decode("utf-8", "replace")
            continue
        path = Path(name).absolute()
        inner = [one for ending in ("*.yaml", "*.yml") for one in path.rglob(ending)] if path.is_dir() else [path]
        for one in sorted(inner):
            yield str(one), _demanded(one)


def _demanded(path: Path) -> str:
    """ClickException, but for what the system itself says of it."""
    if not path.exists():
        raise click.ClickException(f"{path}: {_NO_FILE}.")
    text = _text(path)
    if text is None:
        raise click.ClickException(f"{path}: {_NOT_A_TEXT}.")
    return text


def _text(path: Path) -> str | None:
    """Every byte of it can be written back. None: it is too long, or no file."""
    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return None
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _ran(name: str, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    found = shutil.which(name)
    if found is None:
        raise click.ClickException(f"There is no {name} here: give the file instead.")
    command = [found, *arguments]
    return subprocess.run(command, input=given, capture_output=True, timeout=_LIMIT_S, check=False)  # noqa: S603 - ours
