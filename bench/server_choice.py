"""Which HTTP server: ours, plain uvicorn or granian? Ratios in one run, and what each does with hard clients.

    python bench/server_choice.py [--servers ours,uvicorn] [--granian-python PATH] [--seconds 3] [--rounds 5]

granian is no dependency: name a Python that has it (`--granian-python`), then `granian` (its own worker
process) and `granian-embed` (in the caller's event loop) take part. Needs wrk. Every server runs as one
process with one raw ASGI application on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KEY_CASES = ["length then chunked", "two equal lengths", "two different lengths", "LF everywhere", "folded value"]
KEY_CASES += ["space before the colon", "size is no number", "no host", "two hosts"]
REQUESTS = {
    "new connection": "GET /ping HTTP/1.0\\r\\nHost: a\\r\\nUser-Agent: bench/1.0\\r\\nConnection: close\\r\\n\\r\\n",
    "keep-alive": "GET /ping HTTP/1.1\\r\\nHost: a\\r\\nUser-Agent: bench/1.0\\r\\n\\r\\n",
}
gone = 0


async def app(scope: Any, receive: Any, send: Any) -> None:
    global gone  # noqa: PLW0603 - one process, one figure
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone += 1
        return
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    body = str(gone).encode() if scope["path"] == "/gone" else b"smuggled" if scope["path"] == "/smuggled" else b"OK"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# --- the servers, each in a process of its own ---


def serve_ours(port: int, fd: int | None) -> None:
    import uvloop  # noqa: PLC0415 - each process loads its own server only

    from heartfly.server import ServerLimits, open_sockets, serve  # noqa: PLC0415 - as above

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        limits = ServerLimits(drain_s=0.5, finish_s=1.0)
        await serve(app, sockets=open_sockets("127.0.0.1", port, fd=fd), limits=limits, stop=stop)

    uvloop.run(main())


def serve_uvicorn(port: int, fd: int | None) -> None:
    import uvicorn  # noqa: PLC0415 - as above

    uvicorn.run(
        app,
        port=port,
        fd=fd,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=1,
    )


def serve_granian(port: int, _: int | None) -> None:
    from granian import Granian  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

    options = {"interface": "asginl", "websockets": False, "log_enabled": False, "loop": "uvloop"}
    Granian("server_choice:app", port=port, workers=1, workers_kill_timeout=1, **options).serve()


def serve_granian_embed(port: int, _: int | None) -> None:
    import uvloop  # noqa: PLC0415 - as above
    from granian.server.embed import Server  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

    async def main() -> None:
        server = Server(app, port=port, interface="asginl", websockets=False, log_enabled=False)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        await server.serve()

    uvloop.run(main())


SERVERS: dict[str, Callable[[int, int | None], None]] = {
    "ours": serve_ours,
    "uvicorn": serve_uvicorn,
    "granian": serve_granian,
    "granian-embed": serve_granian_embed,
}


@dataclass
class Running:
    name: str
    port: int
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found

    def cpu_s(self) -> float:
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids()]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids()]
        return sum(int(m[1]) for text in texts if (m := re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE))) / 1024

    def stop(self) -> None:
        if self.process.poll() is None:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(name: str, args: argparse.Namespace, *, listener: socket.socket | None = None) -> Iterator[Running]:
    port = listener.getsockname()[1] if listener else free_port()
    python = args.granian_python if name.startswith("granian") else sys.executable
    command = [python, str(HERE / "server_choice.py"), "--serve", name, "--port", str(port)]
    fds: tuple[int, ...] = ()
    if listener:
        fds = (listener.fileno(),)
        command += ["--fd", str(listener.fileno())]
    process = subprocess.Popen(command, cwd=HERE, pass_fds=fds, stdout=subprocess.DEVNULL)
    running = Running(name, port, process)
    try:
        if not listener:
            wait_until(lambda: answers(port), 20)
        yield running
    finally:
        running.stop()


def wait_until(done: Callable[[], bool], limit_s: float) -> float | None:
    start = time.monotonic()  # noqa: TID251 - a harness measures real time
    while time.monotonic() - start < limit_s:  # noqa: TID251
        if done():
            return time.monotonic() - start  # noqa: TID251
        time.sleep(0.02)  # noqa: TID251
    return None


def ask(port: int, data: bytes, *, timeout_s: float = 2.0) -> bytes:
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as client,
        contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError),
    ):
        client.sendall(data)
        while piece := client.recv(65536):
            answer += piece
    return answer


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return b" 200 " in ask(port, b"GET / HTTP/1.0\r\n\r\n")
    return False


# --- what is measured ---


def load(server: Running, kind: str, seconds: int) -> tuple[float, float]:
    """Return requests/s and CPU µs per request."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'request = function() return "{REQUESTS[kind]}" end')
        script.flush()
        before = server.cpu_s()
        command = ["wrk", "-t1", "-c64", f"-d{seconds}s", "-s", script.name, f"http://127.0.0.1:{server.port}/"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, rate = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert count is not None
    assert rate is not None
    assert "Non-2xx" not in said, said
    return float(rate[1]), 1e6 * (server.cpu_s() - before) / int(count[1])


def throughput(names: list[str], args: argparse.Namespace) -> None:
    results: dict[tuple[str, str], list[tuple[float, float]]] = {}
    memory: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(started(name, args)) for name in names]
        for server in servers:
            load(server, "new connection", 1)  # warm
        for _ in range(args.rounds):
            for kind in REQUESTS:
                for server in servers:
                    results.setdefault((kind, server.name), []).append(load(server, kind, args.seconds))
        memory = {server.name: server.megabytes() for server in servers}
    print(f"\n64 connections, {args.rounds} rounds of {args.seconds} s; best of them, and median ratio to uvicorn\n")
    print("| what | server | requests/s | ratio | CPU µs | ratio | MB |\n|---|---|---|---|---|---|---|")
    for (kind, name), rounds in results.items():
        base = results[(kind, "uvicorn")]
        rate = statistics.median(mine[0] / theirs[0] for mine, theirs in zip(rounds, base, strict=True))
        cpu = statistics.median(mine[1] / theirs[1] for mine, theirs in zip(rounds, base, strict=True))
        best = max(each[0] for each in rounds), min(each[1] for each in rounds)
        print(f"| {kind} | {name} | {best[0]:,.0f} | {rate:.2f} | {best[1]:.0f} | {cpu:.2f} | {memory[name]:.0f} |")


def streams(name: str, args: argparse.Namespace) -> list[str]:
    with started(name, args) as server:
        reader = socket.create_connection(("127.0.0.1", server.port))
        reader.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        reader.recv(4096)
        reader.close()
        noticed = wait_until(lambda: ask(server.port, b"GET /gone HTTP/1.0\r\n\r\n").endswith(b"1"), 5)
        reader = socket.create_connection(("127.0.0.1", server.port))
        reader.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        reader.recv(4096)
        server.process.send_signal(signal.SIGTERM)
        ended = wait_until(lambda: server.process.poll() is not None, 15)
        reader.close()
    return [f"{each:.2f} s" if each is not None else "no" for each in (noticed, ended)]


SLOW = {
    "nothing": (b"", b""),
    "half a header": (b"GET / HTTP/1.1\r\nHo", b""),
    "half a body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nx", b""),
    "header, 1 byte/s": (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"y"),
    "body, 1 byte/s": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", b"x"),
}


def slow(name: str, args: argparse.Namespace) -> list[str]:
    def closed_after(port: int, start: bytes, drip: bytes) -> str:
        began = time.monotonic()  # noqa: TID251
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(start)
            client.settimeout(1.0)
            while time.monotonic() - began < args.slow_seconds:  # noqa: TID251
                try:
                    if not client.recv(4096):
                        return f"{time.monotonic() - began:.0f} s"  # noqa: TID251
                except TimeoutError:
                    with contextlib.suppress(OSError):
                        client.sendall(drip)
                except OSError:
                    return f"{time.monotonic() - began:.0f} s"  # noqa: TID251
        return f"open > {args.slow_seconds} s"

    with started(name, args) as server:
        found: dict[str, str] = {}

        def run(kind: str) -> None:
            found[kind] = closed_after(server.port, *SLOW[kind])

        threads = [threading.Thread(target=run, args=(kind,)) for kind in SLOW]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    return [found[kind] for kind in SLOW]


def refusals(name: str, args: argparse.Namespace) -> tuple[Counter[str], list[str]]:
    sys.path.insert(0, str(HERE.parent))
    from tests.server.raw_requests import REFUSED, SMUGGLED  # noqa: PLC0415 - as above

    counts: Counter[str] = Counter()
    taken: list[str] = []
    with started(name, args) as server:
        for case, (_, stream) in REFUSED.items():
            answer = ask(server.port, stream + SMUGGLED, timeout_s=0.5)
            first = answer.split(b" ", 2)[1:2]
            verdict = "read on" if b"smuggled" in answer else "served" if first == [b"200"] else "refused"
            if not answer:
                verdict = "no answer"
            counts[verdict] += 1
            if verdict in {"served", "read on"}:
                taken.append(case)
    return counts, taken


def restarts(name: str, args: argparse.Namespace) -> str:
    if name.startswith("granian"):
        return "cannot inherit a socket"
    outcomes: Counter[str] = Counter()
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener, contextlib.ExitStack() as stack:
        port = listener.getsockname()[1]
        loading = True

        def load_on() -> None:
            while loading:
                try:
                    ok = ask(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", timeout_s=15)
                    outcomes["ok" if ok.endswith(b"OK") else "cut"] += 1
                except OSError as error:
                    outcomes[type(error).__name__] += 1

        current = stack.enter_context(started(name, args, listener=listener))
        wait_until(lambda: answers(port), 20)
        threads = [threading.Thread(target=load_on) for _ in range(16)]
        for each in threads:
            each.start()
        for _ in range(args.restarts):
            successor = stack.enter_context(started(name, args, listener=listener))
            time.sleep(2)  # noqa: TID251 - it loads
            current.process.send_signal(signal.SIGTERM)
            current.process.wait(30)
            current = successor
        loading = False
        for each in threads:
            each.join()
    failed = sum(outcomes.values()) - outcomes["ok"]
    return f"{failed} of {sum(outcomes.values()):,} failed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="")
    parser.add_argument("--granian-python", default="")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-seconds", type=int, default=40)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--only", default="load,behaviour")
    parser.add_argument("--serve", choices=sorted(SERVERS), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        SERVERS[args.serve](args.port, args.fd)
        return
    names = args.servers.split(",") if args.servers else [n for n in SERVERS if args.granian_python or "gran" not in n]
    if "load" in args.only:
        throughput(names, args)
    if "behaviour" in args.only:
        head = ["leaving reader noticed", "stopped with an open stream", *SLOW, "refused", "not refused", "restarts"]
        print("\n| server | " + " | ".join(head) + " |\n" + "|---" * (len(head) + 1) + "|")
        for name in names:
            counts, taken = refusals(name, args)
            row = [*streams(name, args), *slow(name, args), f"{counts['refused']} of {counts.total()}"]
            row += [", ".join(each for each in KEY_CASES if each in taken) or "-", restarts(name, args)]
            print(f"| {name} | " + " | ".join(row) + " |")
            print(f"  {name} also took: " + "; ".join(each for each in taken if each not in KEY_CASES))
            print(f"  {name}: {dict(counts)}", flush=True)


if __name__ == "__main__":
    main()
