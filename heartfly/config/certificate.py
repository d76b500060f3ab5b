"""A certificate of Heartfly's own, from files, read anew as soon as they are replaced: who renews it restarts nothing.

Only mails need one (server/smtp.py): before the pages and pings stands a proxy.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from heartfly.errors import SettingsError
from heartfly.logs import logger

log = logger("heartfly.certificate")


class Certificate:
    def __init__(self, certificate: str, key: str, *, named: str) -> None:
        """`key` empty: it stands in the file of the certificate. `named`: the settings that say so, for errors."""
        self._certificate = certificate
        self._key = key or certificate
        self._named = named
        self._read_of: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None

    def open(self) -> None:
        """SettingsError: it cannot be read, or the key is not its."""
        try:
            marks = self._marks()  # first: what is replaced while it is read is read again
            self._context, self._read_of = self._read(), marks
        except OSError as error:  # ssl.SSLError is one
            raise SettingsError(f"{self._named}: {_why(error)}") from None

    def context(self) -> ssl.SSLContext:
        """Of the newest files that could be read. A renewal that is half done, or wrong, waits for its other half."""
        assert self._context is not None
        try:
            marks = self._marks()
            if marks != self._read_of:
                self._read_of = marks
                self._context = self._read()
                log.info("certificate", file=self._certificate)
        except OSError as error:
            log.warning("certificate", error=f"{_why(error)}; the one that was read before is used")
        return self._context

    def _marks(self) -> tuple[int, ...]:
        return tuple(Path(one).stat().st_mtime_ns for one in (self._certificate, self._key))

    def _read(self) -> ssl.SSLContext:
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        # A password would be asked for at the terminal, where nobody sits.
        found.load_cert_chain(self._certificate, self._key, password=_no_password)
        return found


def _no_password() -> str:
    raise OSError("the key needs a password, which nobody can type in here")


def _why(error: OSError) -> str:
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
