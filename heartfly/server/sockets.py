"""Where we listen: an inherited socket (`--fd`, or systemd's socket activation), or one opened here.

An inherited socket outlives the process, so that a restart refuses nobody: the next process takes
over the queue of connections. Opened sockets listen already when they are handed back, and are ours alone: where they
close, whoever stands in their queue is cut off, so that first nobody new may get into it (`let_no_more_begin`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import MutableMapping

from heartfly.errors import SettingsError

BACKLOG = 2048
"""Connections that the kernel may hold ready for us; beyond it a client waits a second and tries again."""

_FIRST_PASSED_FD = 3  # sd_listen_fds(3)
_TRIES = 20


_SO_ATTACH_FILTER = 26
_NO_SYN = (
    (0x30, 0, 0, 13),  # the byte with the flags of a TCP segment
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # thrown away
    (0x06, 0, 0, 0xFFFF_FFFF),  # let through
)
"""For the kernel's packet filter: each a code, where to go on if true and if not, and an operand."""


class Opened(socket.socket):
    """A listener that was opened here: no other process holds it."""


class _TakenError(SettingsError):
    """Another program listens there."""


def let_no_more_begin(listener: socket.socket) -> bool:
    """Throw away what would begin a connection; those that have begun go on. False: it cannot be, or must not.

    Who wants in asks again after a second, as after any packet that was lost, and is refused then, or heard by the
    next process. Of a socket that others hold, too, they shall get what comes.
    """
    if not isinstance(listener, Opened) or sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _NO_SYN))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_NO_SYN), ctypes.addressof(program))
        )
    except OSError:  # a kernel without it, or a sandbox that forbids it: some may be cut off, as anywhere
        return False
    return True


def open_sockets(
    host: str, port: int, *, fd: int | None, environ: MutableMapping[str, str] | None = None
) -> list[socket.socket]:
    """Return listening sockets: `fd` if given, else those passed by systemd, else host and port.

    Port 0 lets the system choose one, the same for every address of the host. The variables of socket
    activation are taken out of `environ`, for they are not meant for our children. Raise `SettingsError`.
    """
    environ = os.environ if environ is None else environ
    passed = _passed_fds(environ)
    if fd is not None:
        return [_inherit(fd)]
    if passed:
        return [_inherit(number) for number in passed]
    return _bind(host, port)


def _passed_fds(environ: MutableMapping[str, str]) -> range:
    count, pid = environ.get("LISTEN_FDS", ""), environ.get("LISTEN_PID", "")
    if not count.isdecimal() or pid != str(os.getpid()):
        return range(0)  # none, or meant for a parent of ours
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    return range(_FIRST_PASSED_FD, _FIRST_PASSED_FD + int(count))


def _inherit(fd: int) -> socket.socket:
    try:
        found = socket.socket(fileno=fd)
    except OSError as error:
        raise SettingsError(f"server.fd: file descriptor {fd} is no socket: {error.strerror}") from error
    if found.type != socket.SOCK_STREAM or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        found.detach()  # not ours to close
        raise SettingsError(f"server.fd: file descriptor {fd} is not a listening stream socket")
    found.setblocking(False)  # noqa: FBT003 - the standard library's signature
    found.set_inheritable(False)
    return found


def _bind(host: str, port: int) -> list[socket.socket]:
    for left in reversed(range(_TRIES if port == 0 else 1)):
        try:
            return _bind_once(host, port)
        except _TakenError:
            # What was free on one address of the host was taken on another.
            if not left:
                raise
    raise AssertionError


def _bind_once(host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"server.host: {host!r} is not an address of this machine: {error.strerror}") from error
    opened: list[socket.socket] = []
    refused: OSError | None = None
    for family, kind, protocol, _, address in dict.fromkeys(found):
        chosen = opened[0].getsockname()[1] if opened else port
        try:
            opened.append(_listen(family, kind, protocol, (address[0], chosen, *address[2:])))
        except OSError as error:
            refused = error
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                break  # such as: taken. Half of what was asked for would be a trap
    if refused is not None and (not opened or refused.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}):
        for each in opened:
            each.close()
        kind_of_error = _TakenError if refused.errno == errno.EADDRINUSE else SettingsError
        raise kind_of_error(_sentence(host, port, refused)) from refused
    return opened


def _listen(
    family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, address: tuple[object, ...]
) -> socket.socket:
    listener = Opened(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # 0.0.0.0 has a socket of its own
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"server.port: {port} on {host or 'all addresses'} is taken by another program"
    if error.errno == errno.EACCES:
        return f"server.port: this user may not listen on {port}; ports from 1024 on are free for all"
    return f"server.host: cannot listen on {host or 'all addresses'}, port {port}: {error.strerror}"
