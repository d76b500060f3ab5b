"""What one outgoing request costs: requests/s and CPU to a receiver on loopback that answers at once.

    python bench/http_out.py [--requests 2000] [--loop asyncio|uvloop]

The receiver is a process of its own. CPU is that of the sender only. "late" is a receiver that
answers after 100 ms. The baseline is one httpx client with a pool as large as the concurrency.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from multiprocessing.connection import Connection

import httpx  # noqa: TID251 - the baseline
import uvloop
from typing_extensions import override

from heartfly.net.http import OutgoingHttp

BODY = b'{"type":"check.down","data":"' + b"x" * 900 + b'"}'
HEADERS = {"Content-Type": "application/json", "webhook-id": "msg_1", "webhook-signature": "v1,c2lnbmF0dXJl"}
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Send = Callable[[str], Awaitable[int]]


class Receiver(asyncio.Protocol):
    delay_s = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.seen = b""

    @override
    def data_received(self, data: bytes) -> None:
        self.seen += data
        if self.seen.endswith(BODY):
            self.seen = b""
            loop = asyncio.get_running_loop()
            loop.call_later(self.delay_s, self.transport.write, REPLY) if self.delay_s else self.transport.write(REPLY)


class LateReceiver(Receiver):
    delay_s = 0.1


def receive(pipe: Connection) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(kind, "0.0.0.0", 0, backlog=1024) for kind in (Receiver, LateReceiver)]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    asyncio.run(serve())


async def storm(send: Send, urls: list[str], concurrency: int) -> tuple[float, float]:
    """Send to each URL; return requests/s and CPU ms for one."""
    queue = iter(urls)

    async def worker() -> None:
        for url in queue:
            assert await send(url) == 200

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return len(urls) / (time.perf_counter() - wall), (time.process_time() - cpu) / len(urls) * 1e3


async def ours(urls: list[str], concurrency: int, *, warm: bool) -> tuple[float, float]:
    http = OutgoingHttp(allow=[ip_network("127.0.0.0/8")], own_hosts=(), user_agent="bench")

    async def send(url: str) -> int:
        return (await http.request("POST", url, headers=HEADERS, body=BODY)).status

    if warm:
        await storm(send, urls[: 2 * concurrency], concurrency)
    figures = await storm(send, urls, concurrency)
    await http.aclose()
    return figures


async def one_client(urls: list[str], concurrency: int) -> tuple[float, float]:
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:

        async def send(url: str) -> int:
            return (await client.post(url, headers=HEADERS, content=BODY)).status_code

        await storm(send, urls[: 2 * concurrency], concurrency)
        return await storm(send, urls, concurrency)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--loop", choices=LOOPS, default="asyncio")
    options = parser.parse_args()
    mine, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    quick, late = mine.recv()
    n = options.requests
    one_host = [f"http://127.0.0.1:{quick}/hook/{i}" for i in range(n)]
    many_hosts = [f"http://127.0.{i % 200}.1:{quick}/hook" for i in range(n)]
    late_host = [f"http://127.0.0.1:{late}/hook" for _ in range(1000)]
    with asyncio.Runner(loop_factory=LOOPS[options.loop]) as runner:

        def show(what: str, figures: tuple[float, float]) -> None:
            print(f"{what:50} {figures[0]:8.0f} requests/s   {figures[1]:6.3f} ms CPU each")

        for concurrency in (1, 10, 25, 100):
            show(f"one host, {concurrency} at once", runner.run(ours(one_host, concurrency, warm=True)))
        show("200 hosts, 100 at once", runner.run(ours(many_hosts, 100, warm=True)))
        show("1,000 to one host, cold, all at once", runner.run(ours(one_host[:1000], 1000, warm=False)))
        show("1,000 to one late host (100 ms), all at once", runner.run(ours(late_host, 1000, warm=False)))
        for concurrency in (1, 10, 25, 100):
            show(f"baseline: one httpx client, {concurrency} at once", runner.run(one_client(one_host, concurrency)))
    receiver.terminate()


if __name__ == "__main__":
    main()
