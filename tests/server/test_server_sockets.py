"""Listening: what is opened, what is inherited, and what is said when it cannot be."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from heartfly.errors import SettingsError
from heartfly.server import open_sockets, sockets


def test_port_0_takes_a_free_port_and_listens_at_once() -> None:
    [listener] = open_sockets("127.0.0.1", 0, fd=None)

    with listener, socket.create_connection(listener.getsockname()):
        assert listener.getsockname()[1] > 0
        assert not listener.getblocking()


def test_a_name_with_several_addresses_is_served_on_all_of_them_at_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found * 2)

    listeners = open_sockets("localhost", 0, fd=None)

    assert ["::1", "127.0.0.1"] == [each.getsockname()[0] for each in listeners]
    assert 1 == len({each.getsockname()[1] for each in listeners})
    for each in listeners:
        each.close()


def test_an_address_that_this_machine_lacks_is_left_out_if_there_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    [listener] = open_sockets("localhost", 0, fd=None)

    assert "127.0.0.1" == listener.getsockname()[0]
    listener.close()


def test_a_taken_port_is_named_and_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    # Addresses that no other program of this machine asks a free port of.
    with socket.create_server(("127.77.0.2", 0)) as other:
        port = other.getsockname()[1]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.77.0.1", "127.77.0.2")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        with pytest.raises(SettingsError, match=rf"^server\.port: {port} on here is taken by another program$"):
            open_sockets("here", port, fd=None)

    with socket.create_server(("127.77.0.1", port), reuse_port=False):
        pass


def test_a_port_that_is_taken_on_one_address_of_several_is_chosen_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as taken:
        first = taken.enter_context(socket.create_server(("127.77.0.2", 0))).getsockname()[1]
        asked: list[int] = []

        def found(*_: object, **__: object) -> list[Any]:
            # The system chooses a port that is free on the first address: here, once, one that is not on the second.
            asked.append(first if not asked else 0)
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.77.0.1", 0)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.77.0.2", 0)),
            ]

        listen = sockets._listen

        def chosen(family: Any, kind: Any, protocol: int, address: tuple[Any, ...]) -> socket.socket:
            wanted = (address[0], address[1] or asked[-1])
            return listen(family, kind, protocol, wanted)

        monkeypatch.setattr(socket, "getaddrinfo", found)
        monkeypatch.setattr(sockets, "_listen", chosen)
        opened = open_sockets("here", 0, fd=None)

    ports = {one.getsockname()[1] for one in opened}
    for one in opened:
        one.close()
    assert (2, 2, 1) == (len(asked), len(opened), len(ports))
    assert first not in ports


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^server\.host: cannot listen on 203\.0\.113\.1, port 0: "):
        open_sockets("203.0.113.1", 0, fd=None)


def test_a_host_that_is_no_address_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^server\.host: 'no such host' is not an address of this machine"):
        open_sockets("no such host", 0, fd=None)


def test_a_port_that_only_root_may_use_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sockets, "_listen", refuse)

    with pytest.raises(SettingsError, match=r"^server\.port: this user may not listen on 80;"):
        open_sockets("", 80, fd=None)


def test_an_inherited_listener_is_used_and_not_passed_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        number = os.dup(theirs.fileno())
        os.set_inheritable(number, True)  # noqa: FBT003 - the standard library's signature

        [listener] = open_sockets("203.0.113.1", 1, fd=number)

        assert theirs.getsockname() == listener.getsockname()
        assert not listener.get_inheritable()
        listener.close()


def test_a_number_that_is_no_listener_is_refused_and_left_alone(tmp_path: Path) -> None:
    with (
        socket.socket() as idle,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        (tmp_path / "f").open("w") as file,
    ):
        cases: list[tuple[Any, str]] = [
            (idle, "is not a listening stream socket"),
            (datagrams, "is not a listening stream socket"),
            (file, "is no socket"),
        ]
        for each, sentence in cases:
            with pytest.raises(SettingsError, match=rf"^server\.fd: file descriptor {each.fileno()} {sentence}"):
                open_sockets("", 0, fd=each.fileno())
            os.fstat(each.fileno())


def test_sockets_passed_by_systemd_are_taken_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    monkeypatch.setattr(sockets, "_FIRST_PASSED_FD", 200)
    for number, each in enumerate(listeners):
        os.dup2(each.fileno(), 200 + number)
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "a:b", "OTHER": "stays"}

    found = open_sockets("", 0, fd=None, environ=environ)

    assert [each.getsockname() for each in listeners] == [each.getsockname() for each in found]
    assert {"OTHER": "stays"} == environ
    for each in [*listeners, *found]:
        each.close()


@pytest.mark.parametrize("given", [{"LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}, {"LISTEN_FDS": "0"}])
def test_sockets_meant_for_somebody_else_are_not_taken(given: dict[str, str]) -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), **given}

    [listener] = open_sockets("127.0.0.1", 0, fd=None, environ=environ)

    assert listener.fileno() != 3
    listener.close()
