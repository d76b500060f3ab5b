"""Files in which jobs stand, edited so that the jobs tell of themselves: a backup beside, then the whole file at once.

What changed between reading and writing is left alone. Mode and owner stay.
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path

import rich_click as click

from heartfly.cli.jobs_here import OWN, install_crontab, installed_crontab

_DIRECTORY_MODE = 0o755


def replace_text(path: Path, *, old: str, new: str, now: datetime) -> Path:
    """Where the backup is. ClickException: somebody else changed the file meanwhile."""
    path = path.resolve()
    before = path.stat()
    if path.read_bytes() != _bytes(old):
        raise click.ClickException(f"{path} has changed meanwhile: it was left alone.")
    # No cron reads names that begin with a dot, or end with a tilde.
    backup = path.with_name(f".{path.name}.{now:%Y%m%dT%H%M%SZ}.heartfly~")
    _write(backup, _bytes(old), before)
    _write(path, _bytes(new), before)
    return backup


def replace_own_crontab(*, old: str, new: str, now: datetime) -> Path:
    """The crontab of the user who asks, by `crontab`. ClickException as above."""
    if installed_crontab() != old:
        raise click.ClickException(f"What `{OWN}` says has changed meanwhile: it was left alone.")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "heartfly"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    backup = state / f"crontab.{now:%Y%m%dT%H%M%SZ}~"
    backup.touch(mode=0o600)
    backup.write_bytes(_bytes(old))
    install_crontab(new)
    return backup


def write_drop_in(path: Path, text: str, *, now: datetime) -> Path | None:
    """Where the backup of what was there is; None: nothing was, or the same."""
    path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o644)
        _write(path, _bytes(text), path.stat())
        return None
    old = path.read_bytes().decode("utf-8", "surrogateescape")
    return None if old == text else replace_text(path, old=old, new=text, now=now)


def _write(path: Path, content: bytes, like: os.stat_result) -> None:
    """The whole file or nothing of it, with the mode and the owner of another one."""
    descriptor, name = tempfile.mkstemp(prefix=".heartfly-", suffix="~", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fchmod(handle.fileno(), like.st_mode & 0o7777)
            now = os.fstat(handle.fileno())
            if (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
                os.fchown(handle.fileno(), like.st_uid, like.st_gid)
            os.fsync(handle.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
