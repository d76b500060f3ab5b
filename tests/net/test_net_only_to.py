"""The list of the only hosts that requests may go to: it narrows, for names and for addresses, and opens nothing."""

from __future__ import annotations

from typing import Any

import pytest

from heartfly.errors import InvalidValueError
from heartfly.net.only_to import parse_only_to
from heartfly.net.rules import Rules
from heartfly.net.urls import check_listed, check_url
from tests.net.forward_proxy import ForwardProxy
from tests.net.sender import Names, failure, get, outgoing
from tests.net.toxic_server import ToxicServer, reply

REFUSED = "the setting outgoing.only_to does not list it"
LIST = (
    "hooks.slack.com", "*.Example.org", "Bücher.example.", "*.straße.example", "203.0.113.0/24", "2001:db8::/32",
    "8.8.8.8", "2600::a", "::ffff:9.9.9.0/120",
)  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/x",
        "https://HOOKS.Slack.com./x",
        "https://hooks.slack.com:8443/x",
        "https://a.example.org/",
        "https://a.b.c.EXAMPLE.org/",
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
        "https://BÜCHER.example./",
        "https://a.xn--strae-oqa.example/",
        "https://8.8.8.8/",
        "http://8.8.8.8.:8443/",
        "https://[::ffff:8.8.8.8]/",
        "https://[64:ff9b::808:808]/",
        "https://[2600:0:0::A]:8443/",
        "https://9.9.9.200/",
    ],
)
@pytest.mark.parametrize("by_proxy", [False, True])
def test_what_is_listed_may_be_set_up(url: str, by_proxy: bool) -> None:  # noqa: FBT001 - a table of cases
    rules = Rules(ports={80, 443, 8443}, only_to=parse_only_to(LIST), by_proxy=by_proxy)

    check_listed(url, field="config.url", rules=rules)
    assert url == check_url(url, field="config.url", rules=rules)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://slack.com/", "slack.com"),
        ("https://x.hooks.slack.com/", "x.hooks.slack.com"),
        ("https://hooks.slack.com.evil.example/", "hooks.slack.com.evil.example"),
        ("https://hooks-slack.com/", "hooks-slack.com"),
        ("https://example.org/", "example.org"),
        ("https://badexample.org/", "badexample.org"),
        ("https://a.example.org.evil.example/", "a.example.org.evil.example"),
        ("https://bucher.example/", "bucher.example"),
        ("https://8.8.4.4/", "8.8.4.4"),
        ("https://[::ffff:8.8.4.4]/", "8.8.4.4"),
        ("https://[2600::b]/", "2600::b"),
        ("https://9.9.8.1/", "9.9.8.1"),
    ],
)
def test_what_is_not_listed_is_refused_with_the_field_and_the_setting(url: str, host: str) -> None:
    # With a proxy, as without one a name may lead into a network that is listed.
    rules = Rules(only_to=parse_only_to(LIST), by_proxy=True)

    for check in (check_listed, check_url):
        with pytest.raises(InvalidValueError) as caught:
            check(url, field="config.url", rules=rules)
        assert "config.url" == caught.value.field
        assert REFUSED in caught.value.message
    with pytest.raises(InvalidValueError, match=host):
        check_listed(url, field="config.url", rules=rules)


def test_without_a_list_everything_may_be_set_up() -> None:
    check_listed("https://anywhere.example/", field="url", rules=Rules())
    check_listed("https://9.9.9.9/", field="url", rules=Rules(by_proxy=True))


def test_a_name_passes_at_first_where_it_may_lead_into_a_listed_network() -> None:
    networks, names = parse_only_to(["8.8.8.0/24"]), parse_only_to(["hooks.example"])

    check_listed("https://elsewhere.example/", field="url", rules=Rules(only_to=networks))
    for rules in (Rules(only_to=names), Rules(only_to=networks, by_proxy=True)):
        with pytest.raises(InvalidValueError):
            check_listed("https://elsewhere.example/", field="url", rules=rules)


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://[::1]/", "http://203.0.113.1/", "https://8.8.8.8:25/"])
def test_the_list_opens_nothing(url: str) -> None:
    rules = Rules(only_to=parse_only_to(["10.0.0.0/8", "::1", "203.0.113.0/24", "8.8.8.8"]))

    with pytest.raises(InvalidValueError) as caught:
        check_url(url, field="url", rules=rules)
    assert "only_to" not in caught.value.message


@pytest.mark.parametrize(
    ("ip", "listed"),
    [
        ("8.8.8.8", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b::808:404", False),
        ("9.9.9.1", True),
        ("::ffff:9.9.9.1", True),
        ("2600::a", True),
        ("2600::b", False),
    ],
)
def test_an_address_counts_as_what_is_reached_by_it(ip: str, listed: bool) -> None:  # noqa: FBT001 - a table of cases
    rules = Rules(only_to=parse_only_to(LIST))

    assert listed == (rules.refusal(ip, 443) is None)
    assert listed == (rules.refusal(ip, 443, name="elsewhere.example") is None)
    assert rules.refusal(ip, 443, name="hooks.slack.com") is None


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "*", "*.", "*.*.example.org", "hooks.*.example", "*example.org", "https://hooks.slack.com",
        "hooks.slack.com:443", "hooks.slack.com/x", "hooks.slack.com?x", "user@hooks.slack.com", "a b.example",
        "-a.example", "a..example", ".example.org", "127.1", "0x7f.1", "[2001:db8::1]", "[::1]:443", "*.8.8.8.8",
        "203.0.113.5/24", "2001:db8::1/32", "8.8.8.8/33", "8.8.8.8:443", "fe80::1%eth0", "a\\b", "a#b",
    ],
)  # fmt: skip
def test_an_entry_that_is_none_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        parse_only_to(["hooks.slack.com", text])

    assert "only_to[1]" == caught.value.field


# --- when something is sent


@pytest.mark.anyio
async def test_a_name_that_is_not_listed_is_refused_for_good_and_nobody_is_asked_for_it() -> None:
    names = Names(other_example=["127.0.0.1"])
    async with (
        ToxicServer(reply()) as server,
        outgoing(resolver=names, only_to=parse_only_to(["hooks.example"])) as http,
    ):
        failed = await failure(http, server.url("/s3cr3t", host="other.example"))

    assert f"other.example: {REFUSED}" == str(failed)
    assert (False, True) == (failed.ambiguous, failed.permanent)
    assert ([], 0) == (names.asked, server.connections)


@pytest.mark.anyio
async def test_a_name_that_is_listed_leads_where_the_other_rules_let_it() -> None:
    names = Names(hooks_example=["127.0.0.1"], inner_example=["10.0.0.1"])
    listed = parse_only_to(["hooks.example", "inner.example"])
    async with ToxicServer(reply()) as server, outgoing(resolver=names, only_to=listed) as http:
        got = await get(http, server.url(host="HOOKS.example."))
        failed = await failure(http, "http://inner.example/")

    assert 200 == got.status
    assert "inner.example: the address is private (10.0.0.0/8)" in str(failed)
    assert failed.permanent


@pytest.mark.anyio
@pytest.mark.parametrize(("answers", "got_there"), [(["127.0.0.1"], True), (["8.8.8.8"], False), (["::1"], False)])
async def test_of_a_network_the_address_counts_that_is_really_connected_to(
    answers: list[str],
    got_there: bool,  # noqa: FBT001 - a table of cases
) -> None:
    names: Any = Names(hooks_example=answers)
    listed = parse_only_to(["127.0.0.0/8"])
    async with ToxicServer(reply()) as server:
        ports = {server.port}
        async with outgoing(resolver=names, only_to=listed, allowed_ports=ports) as http:
            if got_there:
                assert 200 == (await get(http, server.url(host="hooks.example"))).status
            else:
                failed = await failure(http, server.url(host="hooks.example"))
                assert (f"hooks.example: {REFUSED}", True) == (str(failed), failed.permanent)

    assert got_there == bool(server.connections)


@pytest.mark.anyio
async def test_of_answers_only_those_in_the_network_are_used() -> None:
    names = Names(hooks_example=["127.0.0.3", "127.0.0.1"])
    async with (
        ToxicServer(reply(), host="127.0.0.3") as other,
        ToxicServer(reply(), port=other.port) as server,
        outgoing(resolver=names, only_to=parse_only_to(["127.0.0.1"])) as http,
    ):
        await get(http, server.url(host="hooks.example"))

    assert (0, 1) == (other.connections, server.connections)


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["https://[::1]:{port}/", "http://127.0.0.2:{port}/"])
async def test_a_literal_address_that_is_not_listed_is_refused_for_good(url: str) -> None:
    async with ToxicServer(reply()) as server, outgoing(only_to=parse_only_to(["127.0.0.1", "hooks.example"])) as http:
        got = await get(http, server.url())
        failed = await failure(http, url.format(port=server.port))

    assert (200, True) == (got.status, str(failed).endswith(REFUSED))
    assert (False, True) == (failed.ambiguous, failed.permanent)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("place", "reached"),
    [("hooks.example", True), ("8.8.8.8", True), ("in.example", False), ("other.example", False), ("8.8.4.4", False)],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_by_a_proxy_a_name_must_be_listed_as_a_name(
    scheme: str,
    place: str,
    reached: bool,  # noqa: FBT001 - a table of cases
) -> None:
    """Where it leads is the proxy's to say: `in.example` leads into the network for us, and where for the proxy?"""
    names, listed = Names(in_example=["8.8.8.8"]), parse_only_to(["hooks.example", "8.8.8.0/24"])
    async with ForwardProxy() as proxy, outgoing(allow=(), resolver=names, only_to=listed, proxy=proxy.known()) as http:
        if scheme == "http" and reached:
            await get(http, f"{scheme}://{place}/")
        else:
            failed = await failure(http, f"{scheme}://{place}/")
            assert reached != (str(failed).endswith(REFUSED) and failed.permanent)

    assert reached == bool(proxy.asked)
