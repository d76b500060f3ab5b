"""Receivers that stall, flood, lie and break off: each ends in time, and the error says what may have happened."""

from __future__ import annotations

from contextlib import suppress

import pytest

from heartfly.net.http import MAX_BODY_BYTES, Reply, RequestFailed
from tests.net.sender import failure, get, outgoing
from tests.net.toxic_server import (
    Exchange,
    Script,
    ToxicServer,
    drip,
    flood,
    gzip_bomb,
    half_close,
    hang_up,
    in_turn,
    n_open_files,
    raw,
    reply,
    reply_and_close,
    reset,
)

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (raw(b"", keep=True), "no reply within 1 s"),
        (drip(OK, b"X-Drip: 1\r\n"), "no reply within 1 s"),
        (drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "no reply within 1 s"),
        (drip(b"H", b""), "no reply within 1 s"),
        (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "the reply is not valid HTTP"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "the reply is not valid HTTP"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "the reply is not valid HTTP"),
        (raw(b"\x15\x03\x01\x00\x02\x02\x16"), "the reply is not valid HTTP"),
        (raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "not valid HTTP"),
        (raw(b"HTTP/1.1 999999 OK\r\n\r\n"), "the reply is not valid HTTP"),
        (raw(b"HTTP/1.1 200x OK\r\n\r\n"), "the reply is not valid HTTP"),
        (raw(b"HTTP/1.1 20 OK\r\n\r\n"), "the reply is not valid HTTP"),
        (raw(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n b\r\n\r\n"), "the reply is not valid HTTP"),
        (raw(OK), "the receiver closed the connection without a reply"),
        (hang_up, "the receiver closed the connection without a reply"),
        (half_close, "the receiver closed the connection without a reply"),
        (reset, "the connection broke before a reply came"),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)
async def test_no_reply_after_the_request_left_is_ambiguous(script: Script, words: str) -> None:
    # A busy machine may take long to carry what was said: only who waits for silence is given a short time.
    deadline_s = 1.0 if "within" in words else 30.0
    async with ToxicServer(script) as server, outgoing(total_deadline_s=deadline_s) as http:
        failed = await failure(http, server.url("/s3cr3t"))

    assert words in str(failed)
    assert str(failed).startswith("127.0.0.1: ")
    assert "s3cr3t" not in str(failed)
    assert (True, False) == (failed.ambiguous, failed.permanent)
    assert 1 == len(server.requests)


async def test_a_tls_handshake_that_never_ends_is_given_up_and_nothing_was_sent() -> None:
    async with ToxicServer(raw(b"", keep=True)) as server, outgoing(total_deadline_s=0.1) as http:
        failed = await failure(http, server.url().replace("http:", "https:"))
        await server.wait_until(lambda server: server.open == 0)

    assert "127.0.0.1: the request could not be sent within 0.1 s" == str(failed)
    assert (False, False) == (failed.ambiguous, failed.permanent)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (flood(OK + b"\r\n", b"x" * 10_000), b"x" * MAX_BODY_BYTES),
        (flood(OK + b"Content-Length: 1073741824\r\n\r\n", b"x" * 10_000), b"x" * MAX_BODY_BYTES),
        (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"x" * 1000 + b"\r\n"), b"x" * MAX_BODY_BYTES),
        (flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 100), b"x" * 257),
        (raw(OK + b"Content-Length: 10\r\n\r\nhalf"), b"half"),
        (raw(OK + b"Content-Length: 10\r\n\r\nhalf", keep=True), b"half"),
        (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"), b"half"),
    ],
    ids=["endless", "1 GiB", "endless chunks", "tiny chunks", "breaks off", "stalls", "bad chunk"],
)
async def test_once_the_head_has_come_the_answer_is_known_and_the_body_is_cut(script: Script, expected: bytes) -> None:
    async with ToxicServer(script) as server, outgoing(total_deadline_s=2.0) as http:
        got = await get(http, server.url())
        # The rest is not waited for: the connection is gone.
        await server.wait_until(lambda server: server.open == 0 or len(expected) == 4)

    assert (200, expected[:MAX_BODY_BYTES], True) == (got.status, got.body, got.cut)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"Content-Length: nine\r\n\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip\r\n\r\nx",
        b"X-Folded: one\r\n two\r\n\r\nok",
        b" X-Folded: from the start\r\n\r\nok",
        b"X-No-Colon\r\n\r\nok",
        b"X-Long: " + b"x" * 33_000 + b"\r\n\r\n",
        b"X-Many: 1\r\n" * 3_500 + b"\r\n",
    ],
    ids=lambda head: head[:60].decode(),
)
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["at once", "after an interim reply"])
async def test_a_status_is_the_answer_also_where_its_head_is_wrong_after_it(before: bytes, head: bytes) -> None:
    rest = head + OK + b"Content-Length: 0\r\n\r\n"  # which must not be taken for the reply to the next request
    script = in_turn(raw(before + b"HTTP/1.1 503 Not Now\r\nRetry-After: 7\r\nX: y\r\n" + rest, keep=True), reply(204))
    async with ToxicServer(script) as server, outgoing(total_deadline_s=30.0) as http:
        got = await get(http, server.url())
        following = await get(http, server.url())

    assert (503, "7", b"", True) == (got.status, got.headers.get("retry-after"), got.body, got.cut)
    assert 204 == following.status
    assert 2 == len(server.requests)


async def test_endless_headers_after_a_status_are_not_read_to_their_end() -> None:
    async with ToxicServer(flood(OK, b"X-Flood: 1\r\n" * 100)) as server, outgoing(total_deadline_s=30.0) as http:
        got = await get(http, server.url())
        await server.wait_until(lambda server: server.open == 0)

    assert (200, b"", True) == (got.status, got.body, got.cut)


async def test_a_dripping_body_is_cut_at_the_deadline() -> None:
    async with ToxicServer(drip(OK + b"\r\n", b".")) as server, outgoing(total_deadline_s=1.0) as http:
        got = await get(http, server.url())

    assert (200, True) == (got.status, got.cut)
    assert 1 <= len(got.body) <= 50
    assert set(b".") == set(got.body)


async def test_a_gzip_bomb_is_kept_as_it_came() -> None:
    async with ToxicServer(gzip_bomb(20_000_000)) as server, outgoing() as http:
        got = await get(http, server.url())

    assert "gzip" == got.headers["content-encoding"]
    assert b"\x1f\x8b" == got.body[:2]
    assert len(got.body) < 30_000


async def test_headers_of_thirty_kilobytes_pass() -> None:
    async with ToxicServer(reply(headers=[("X-Long", "x" * 30_000)])) as server, outgoing() as http:
        got = await get(http, server.url())

    assert 30_000 == len(got.headers["x-long"])


async def test_a_reply_before_the_request_was_read_is_taken() -> None:
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    async with ToxicServer(raw(early)) as server, outgoing() as http:
        got = await http.request("POST", server.url(), headers={}, body=b"x" * 10)

    assert (413, b"no") == (got.status, got.body)


async def test_a_half_close_after_the_reply_is_no_harm() -> None:
    script = in_turn(reply_and_close, reply())
    async with ToxicServer(script) as server, outgoing() as http:
        first = await get(http, server.url())
        await server.wait_until(lambda server: server.open == 0)
        second = await get(http, server.url())

        assert [200, 200] == [first.status, second.status]
        assert 2 == server.connections


async def test_a_kept_connection_with_unasked_for_bytes_is_not_used_again() -> None:
    """Else those bytes would be read as the reply to the next request."""

    async def forge(exchange: Exchange) -> bool:
        await reply(200, b"first")(exchange)
        await exchange.server.released.wait()
        exchange.writer.write(OK + b"Content-Length: 6\r\n\r\nforged")
        await exchange.writer.drain()
        return True

    async with ToxicServer(in_turn(forge, reply(200, b"second"))) as server, outgoing() as http:
        assert b"first" == (await get(http, server.url())).body
        server.released.set()
        await server.wait_until(lambda server: server.answered == 1)

        assert b"second" == (await get(http, server.url())).body
        assert 2 == server.connections


async def test_a_kept_connection_that_closes_as_it_is_used_again_is_ambiguous_and_not_retried() -> None:
    async with ToxicServer(in_turn(reply(), hang_up)) as server, outgoing() as http:
        await get(http, server.url())
        failed = await failure(http, server.url())

        assert "127.0.0.1: the receiver closed the connection without a reply" == str(failed)
        assert (True, False) == (failed.ambiguous, failed.permanent)
        assert (2, 1) == (len(server.requests), server.connections)


async def test_a_failed_request_spoils_nothing_for_the_next() -> None:
    script = in_turn(reset, hang_up, raw(b"?\r\n\r\n"), raw(b"", keep=True), reply())
    async with ToxicServer(script) as server, outgoing(connections_per_host=1, total_deadline_s=1.0) as http:
        for _ in range(4):
            await failure(http, server.url())

        assert Reply(status=200, headers={"content-length": "2"}, body=b"ok", cut=False) == await get(
            http, server.url()
        )


async def test_no_file_descriptor_is_left_behind() -> None:
    async def storm() -> None:
        for script in (reset, hang_up, half_close, raw(b"", keep=True), flood(OK + b"\r\n", b"x" * 1000), reply()):
            async with ToxicServer(script) as server, outgoing(total_deadline_s=0.1) as http:
                for url in (server.url(), server.url().replace("http:", "https:")):
                    with suppress(RequestFailed):
                        await get(http, url)

    await storm()  # once before, for what the loop itself opens at first use
    before = n_open_files()
    await storm()

    assert before == n_open_files()
