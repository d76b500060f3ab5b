"""`heartfly serve`: everything in one process, until it is told to stop."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import gc
import os
import resource
import shlex
import signal
import socket
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, cast

import rich_click as click

from heartfly import __version__
from heartfly.accounts.commands import NewProject
from heartfly.app import App
from heartfly.cli.called import as_called
from heartfly.cli.demo import Shown, fill_demo
from heartfly.cli.options import CONFIG, DATA, settings_from, told_by_option
from heartfly.clock import SystemClock
from heartfly.config import Settings
from heartfly.core.node_roles import NodeRole
from heartfly.demo.pretend import muted
from heartfly.errors import StoreError
from heartfly.ground import Ground, greet, open_ground
from heartfly.logs import configure, line, logger
from heartfly.server.limits import ServerLimits
from heartfly.server.run import serve as serve_http
from heartfly.server.sockets import open_sockets

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

log = logger("heartfly")

_INTERRUPTED = 128 + signal.SIGINT
"""The exit status of a process that Ctrl-C has ended."""
_THIS_MACHINE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@click.command()
@CONFIG
@click.option("--host", help="The address to listen on. [127.0.0.1]")
@click.option("--port", type=int, help="The port to listen on; 0 for any that is free. [8000]")
@DATA
@click.option("--fd", type=int, help="Listen on this inherited socket instead.")
@click.option("--roles", help="What this node does, with commas. [serve,judge,send]")
@click.option("--demo", is_flag=True, help="Fill an empty database with 90 days of made-up checks, and send nothing.")
def serve(
    *,
    config: Path | None,
    host: str | None,
    port: int | None,
    data: Path | None,
    fd: int | None,
    roles: str | None,
    demo: bool,
) -> None:
    """Run Heartfly. Without a config everything lives in ./heartfly-data (database, secret key)."""
    settings = settings_from(config, SERVER__HOST=host, SERVER__PORT=port, SERVER__ROLES=roles, DATA__DIR=data)
    configure(settings.log, sys.stderr, now=SystemClock().now, secrets=settings.secrets)
    _raise_file_limit()
    with told_by_option(SERVER__HOST=host, SERVER__PORT=port, SERVER__FD=fd):
        sockets = open_sockets(settings.server.host, settings.server.port, fd=fd)
    settings = _with_port(settings, sockets)
    sys.exit(_run(muted(settings) if demo else settings, sockets, demo=demo))


def _run(settings: Settings, sockets: list[socket.socket], *, demo: bool) -> int:
    fatal: list[StoreError] = []
    apps: list[App] = []

    def on_fatal(error: StoreError) -> None:
        # A database that cannot be trusted must not be written again: end, and let the supervisor start us anew.
        fatal.append(error)
        log.error("store", error=str(error))
        for app in apps:
            app.stop.set()

    ground = open_ground(settings, on_fatal=on_fatal)
    _tune_interpreter()
    shown = fill_demo(ground) if demo else None
    new = greet(ground)
    try:
        import uvloop  # noqa: PLC0415 - a faster loop where there is one
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        whole = runner.run(_serve(ground, sockets, apps, new, shown))
    return 0 if whole and not fatal else 1


async def _serve(
    ground: Ground, sockets: list[socket.socket], apps: list[App], new: NewProject | None, shown: Shown | None
) -> bool:
    """Return whether it ended because it was told to."""
    settings = ground.settings.server
    app, began_s = (App(ground) if shown is None else shown.app(ground)), ground.clock.monotonic()
    apps.append(app)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, app.stop.set)
    loop.add_signal_handler(signal.SIGINT, _interrupted, app)
    await app.start()
    setup = f"{app.base_url}/setup?token={app.setup.secret}" if app.serves and await app.is_new() else ""
    limits = ServerLimits(
        receive_deadline_s=settings.receive_deadline_s,
        max_connections=settings.max_connections or None,
        max_per_place=ground.settings.limits.connections_per_address,
        uncounted=(*settings.proxy_networks, *_THIS_MACHINE),
        drain_s=settings.drain_s,
        finish_s=settings.finish_s,
    )
    tasks = [asyncio.ensure_future(service) for service in app.background()]
    for task in tasks:
        task.add_done_callback(lambda done: _ended(app, done))
    tidying = asyncio.ensure_future(app.tidy())
    try:
        await serve_http(
            cast("ASGI3Application", app.front),
            sockets=sockets,
            limits=limits,
            stop=app.stop,
            on_listening=lambda: _listening(app, new, setup, shown),
            on_turned_away=app.turned_away,
            on_crowding=app.crowded,
        )
    finally:
        app.stop.set()
        app.ended.set()
        await asyncio.gather(*tasks, tidying, return_exceptions=True)
        await app.finish()
        line("stop", version=__version__, ran_s=round(ground.clock.monotonic() - began_s), failed=app.failed)
    return not app.failed


def _interrupted(app: App) -> None:
    """Ctrl-C: stop, as by SIGTERM. Pressed again while requests are let out: end at once, as after a crash."""
    if not app.stop.is_set():
        click.echo("Stopping; requests under way are answered. Press Ctrl-C again to end at once.", err=True)
        app.stop.set()
        return
    line("stop", version=__version__, failed=False, at_once=True)
    click.echo(
        "Ended at once: the next start finds what was acknowledged, and takes the time between for blind.", err=True
    )
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by an exception: the writer's thread and open connections would each be waited for.
    os._exit(_INTERRUPTED)


def _ended(app: App, task: asyncio.Future[None]) -> None:
    """A service of the background that ended before it was told to takes the process with it: silence is our worst."""
    if not app.ended.is_set():
        error = task.exception() if not task.cancelled() else None
        log.error("background", error=repr(error))
        app.failed = True
        app.stop.set()


def _listening(app: App, new: NewProject | None, setup: str, shown: Shown | None) -> None:
    app.front.load()
    database = "postgresql" if app.ground.database.on_postgres else "sqlite"
    data = str(app.ground.settings.data.dir)
    demanded = app.ground.settings.accounts.second_step
    line("start", version=__version__, database=database, address=app.base_url, data=data, second_step=demanded)
    _say_hello(app, new, setup)
    if shown is not None:
        click.echo(shown.greeting(app.base_url))


def _say_hello(app: App, new: NewProject | None, setup: str) -> None:
    base = app.base_url
    click.echo(f"Heartfly {__version__} listens on {base}  (data in {app.ground.settings.data.dir})")
    if not app.serves:
        _say_what_is_elsewhere(app.ground.settings, new)
        return
    if setup:
        click.echo(f"\nNobody can sign in yet. Open this once, to become the first administrator:\n\n    {setup}\n")
    if new is not None:
        heartfly = as_called()
        click.echo(
            "\nYour first ping, from any job:\n\n"
            f"    curl -fsS -m 10 --retry 5 '{base}/ping/{new.ping_key}/my-job?create=1'\n\n"
            "What to do next, in another terminal:\n\n"
            f"{_where(app.ground.settings)}"
            f"    {heartfly} checks list                                  see the job that just reported\n"
            f"    {heartfly} checks create 'Nightly backup' --cron '30 2 * * *' --zone Europe/Berlin --grace 10m\n"
            f"    {heartfly} channels create webhook --name ops --url https://example.com/hook\n\n"
            f"The API key is in {app.ground.settings.data.dir / 'cli-key'}; the commands above find it there.\n"
            "Stop with Ctrl-C.\n"
        )


def _say_what_is_elsewhere(settings: Settings, new: NewProject | None) -> None:
    """Addresses of a node that serves nobody lead nowhere: none is shown. The key that it made is the only one."""
    key = f" The API key is in {settings.data.dir / 'cli-key'}." if new is not None else ""
    click.echo(f"Pings, the API and pages are for others to serve: its roles leave them out.{key}")
    if NodeRole.SEND in settings.server.roles and not settings.server.base_url:
        click.echo("Links in what it sends lead to this node, which answers 503: set server.base_url.")


def _where(settings: Settings) -> str:
    """What that terminal must be told, so that its commands find this server; nothing if they do by themselves."""
    usual = Settings()
    said = {
        "HEARTFLY_URL": (settings.server.public_url, usual.server.public_url),
        "HEARTFLY_DATA__DIR": (str(settings.data.dir), str(usual.data.dir)),
    }
    return "".join(
        f"    export {name}={shlex.quote(here)}\n" for name, (here, expected) in said.items() if here != expected
    )


def _with_port(settings: Settings, sockets: list[socket.socket]) -> Settings:
    """With `--port 0` or an inherited socket, links must name the port that we got."""
    if sockets[0].family == socket.AF_UNIX:
        return settings
    import msgspec  # noqa: PLC0415 - only here

    port = sockets[0].getsockname()[1]
    return msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, port=port))


_M_ARENA_MAX = -8
"""As in glibc's malloc.h."""


def _tune_interpreter() -> None:
    """Habits of Python that suit no server with a writer beside its loop; measured with `make bench`."""
    # While the writer computes, each event of the loop waits for the interpreter up to this long: at the usual 5 ms
    # pings at 500/s took twice as long at worst.
    sys.setswitchinterval(0.0005)
    # A batch makes thousands of values without cycles. To look for some after every 700 took a sixth of each ping.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    # At the end all is gone with the process anyway: to go through it once more took a third of a second of each stop.
    atexit.register(gc.freeze)
    _share_memory()


def _share_memory() -> None:
    """Let all threads take their memory out of two places, where the allocator of glibc would give each one of its own.

    What a thread gives back stays in its place: after a thousand alerts that was a tenth of the server's memory.
    """
    with contextlib.suppress(AttributeError):  # other C libraries know no places
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _raise_file_limit() -> None:
    """Each connection is a file; the soft limit is often 1024 where far more is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
