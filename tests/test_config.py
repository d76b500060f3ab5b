from __future__ import annotations

import re
import traceback
from collections.abc import Collection
from ipaddress import ip_network
from pathlib import Path

import pytest

from heartfly import config
from heartfly.config import Database, Mail, Server, Settings, load
from heartfly.config.section import Network
from heartfly.errors import SettingsError
from heartfly.net.addresses import parse_allow_private
from heartfly.net.proxy import Proxy
from heartfly.net.rules import Listed
from tests import canaries

BAD_BASE_URL = "server.base_url: Expected http(s)://host[:port][/path] and nothing more"
HOST = "Expected a host name, *.domain, an address or a network"
PROXY = "outgoing.proxy: Expected http://[user:password@]host:port, or https://…"
IN_MEMORY = "database.url: Expected sqlite:///FILE, as memory would lose acknowledged pings"
ROOT = Path(__file__).resolve().parent.parent


def from_file(tmp_path: Path, toml: str, **env: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(toml, encoding="utf-8")
    return load(path, env)


def refusal(tmp_path: Path, toml: str, **env: str) -> str:
    with pytest.raises(SettingsError) as caught:
        from_file(tmp_path, toml, **env)
    return str(caught.value)


def test_the_example_file_says_exactly_the_defaults() -> None:
    assert Settings() == load(ROOT / "config.example.toml", {})


def test_the_example_file_names_every_setting_with_a_comment_above_it() -> None:
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    told = re.findall(r"^\[(\w+)\]$|(?:^#.*\n)+^(\w+) = ", text, re.MULTILINE)

    expected = [part for name, table in config.sections() for part in (name, *(f.name for f in table))]
    assert expected == [section or key for section, key in told]


def test_without_a_file_and_variables_the_defaults_hold() -> None:
    assert Settings() == load(None, {})


def test_a_variable_wins_over_the_file_which_wins_over_the_default(tmp_path: Path) -> None:
    toml = '[server]\nport = 9001\nhost = "::1"'

    settings = from_file(tmp_path, toml, HEARTFLY_SERVER__PORT="9002")

    assert Server(port=9002, host="::1") == settings.server


@pytest.mark.parametrize(
    "name", ["HEARTFLY_REQUIRE_ALL", "HEARTFLY", "PATH", "heartfly_server__port", "XHEARTFLY_A__B"]
)
def test_variables_of_another_form_are_none_of_our_business(name: str) -> None:
    assert Settings() == load(None, {name: "nonsense"})


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[server]\nport = 99999", "server.port: Expected int <= 65535"),
        ('[server]\nport = "8000"', "server.port: Expected int, got str"),
        ("[server]\nprot = 1", "server.prot: There is no such setting; did you mean port?"),
        ("[sever]\nport = 1", "sever: There is no such setting; did you mean server?"),
        ("[zzz]\nport = 1", "zzz: There is no such setting"),
        ("[server]\nroles = []", "server.roles: Expected at least one of serve, judge, send"),
        ('[server]\nroles = ["serve", "cook"]', "server.roles[1]: Expected one of serve, judge, send, got 'cook'"),
        (
            '[server]\nroles = ["serve"]',
            "server.roles: Expected all on SQLite, which has one node; missing: judge, send",
        ),
        ("server = 1", "server: Expected a table, got int"),
        (
            '[server]\ntrusted_proxies = ["::1", "10.0.0.1/8"]',
            "server.trusted_proxies[1]: 10.0.0.1/8 has host bits set",
        ),
        ('[server]\nbase_url = "example.org"', BAD_BASE_URL),
        ('[server]\nbase_url = "https://a/?b"', BAD_BASE_URL),
        ('[server]\nbase_url = "https://a:b@c"', BAD_BASE_URL),
        ('[database]\nurl = "mysql://h/d"', "database.url: Expected postgresql://… or sqlite:///FILE"),
        (
            '[database]\nurl = "sqlite:///:memory:"',
            IN_MEMORY,
        ),
        ('[database]\nurl = "sqlite://"', IN_MEMORY),
        ('[database]\nurl = "sqlite:///file:x?mode=memory&uri=true"', IN_MEMORY),
        ("[data]\ndir = 3", "data.dir: Expected path, got 3"),
        ('[data]\ndir = ""', "data.dir: Expected path, got ''"),
        ('[mail]\nhost = "mx"', "mail.from_address: Expected an address, as mail.host is set"),
        ('[mail]\npassword = "x"', "mail.username: Expected a name, as mail.password is set"),
        ('[mail]\nfrom_name = "a\\nBcc: b"', "mail.from_name: Expected one line"),
        ('[mail]\nsecurity = "ssl"', "mail.security: Expected one of none, starttls, tls, got 'ssl'"),
        ("[mail]\ntimeout_s = nan", "mail.timeout_s: Expected number > 0.0"),
        ("[mail]\ntimeout_s = inf", "mail.timeout_s: Expected number <= 86400.0"),
        ('[outgoing]\nallow_private = "yes"', "outgoing.allow_private: Expected bool | array, got str"),
        ("[outgoing]\nallowed_ports = [80, 0]", "outgoing.allowed_ports[1]: Expected int >= 1"),
        ('[outgoing]\nonly_to = ["a.example", "10.0.0.1/8"]', "outgoing.only_to[1]: 10.0.0.1/8 has host bits set"),
        ('[outgoing]\nonly_to = ["https://a.example"]', f"outgoing.only_to[0]: {HOST}, and no URL"),
        ('[outgoing]\nonly_to = ["a_b/c"]', f"outgoing.only_to[0]: {HOST}, got 'a_b/c'"),
        ('[outgoing]\nonly_to = "a.example"', "outgoing.only_to: Expected array, got str"),
        ('[outgoing]\nproxy = "http://u:canary@proxy/pw@proxy.example"', PROXY),
        ('[outgoing]\nproxy = "socks5://proxy.example:1080"', PROXY),
        ('[outgoing]\nproxy = "http://proxy.example:3128/path"', PROXY),
        (
            '[outgoing]\nproxy = "http://u:canary@proxy/pw@proxy.example:99999"',
            f"{PROXY}; what stands there has a port that does not exist",
        ),
        (
            '[outgoing]\nproxy = "http://u%3Av:canary@proxy/pw@proxy.example:3128"',
            "outgoing.proxy: Expected a user name without a colon, which would end it (RFC 7617)",
        ),
        (
            '[outgoing]\nproxy = "http://u:canary@proxy/pw%0A@proxy.example:3128"',
            "outgoing.proxy: Expected a user name and password without control characters",
        ),
        (
            "[monitor]\nblind_after_s = 1",
            "monitor.blind_after_s: Expected more than monitor.beat_s, or every beat would be a gap",
        ),
    ],
)
def test_a_bad_value_is_refused_with_its_path(tmp_path: Path, toml: str, message: str) -> None:
    assert message == refusal(tmp_path, toml)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("HEARTFLY_SERVER__PORT", "99999", "server.port: Expected int <= 65535 (set by HEARTFLY_SERVER__PORT)"),
        ("HEARTFLY_SERVER__PORT", "web", "server.port: Expected int, got str (set by HEARTFLY_SERVER__PORT)"),
        (
            "HEARTFLY_SERVER__PROT",
            "1",
            "HEARTFLY_SERVER__PROT: There is no such setting; did you mean HEARTFLY_SERVER__PORT?",
        ),
        ("HEARTFLY_QQ__X__Y", "1", "HEARTFLY_QQ__X__Y: There is no such setting"),
        (
            "HEARTFLY_OUTGOING__ALLOW_PRIVATE",
            "maybe",
            "outgoing.allow_private[0]: 'maybe' does not appear to be an IPv4 or IPv6 network (set by {name})",
        ),
        (
            "HEARTFLY_OUTGOING__ALLOWED_PORTS",
            "80,x",
            "outgoing.allowed_ports[1]: Expected int, got str (set by HEARTFLY_OUTGOING__ALLOWED_PORTS)",
        ),
        (
            "HEARTFLY_OUTGOING__ONLY_TO",
            "hooks.slack.com,*",
            "outgoing.only_to[1]: Expected * at the beginning only, as in *.example.org (set by {name})",
        ),
        ("HEARTFLY_OUTGOING__PROXY", "http://u:canary@proxy/pw@proxy:x", PROXY + " (set by {name})"),
        ("HEARTFLY_DATA__DIR", "", "data.dir: Expected path, got '' (set by HEARTFLY_DATA__DIR)"),
        (
            "HEARTFLY_SERVER__ROLES",
            "serve,cook",
            "server.roles[1]: Expected one of serve, judge, send, got 'cook' (set by {name})",
        ),
        (
            "HEARTFLY_DATABASE__URL",
            "mysql://h/d",
            "database.url: Expected postgresql://… or sqlite:///FILE (set by HEARTFLY_DATABASE__URL)",
        ),
    ],
)
def test_a_bad_variable_is_refused_with_its_name(name: str, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {name: text})

    assert message.format(name=name) == str(caught.value)


def test_a_variable_for_a_section_that_is_no_table_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "server = 1", HEARTFLY_SERVER__PORT="1")

    assert "server: Expected a table, as in [server]" == message


def test_a_file_that_is_missing_or_no_toml_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml", {})
    assert "config.toml: " in refusal(tmp_path, "server = [")
    (tmp_path / "latin.toml").write_bytes(b'x = "\xff"')
    with pytest.raises(SettingsError, match=r"latin\.toml: .*utf-8"):
        load(tmp_path / "latin.toml", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", parse_allow_private(value=True)),
        ("1", parse_allow_private(value=True)),
        ("false", ()),
        ("FALSE", ()),
        ("0", ()),
        ("127.0.0.1", (ip_network("127.0.0.1"),)),
        ("10.0.0.0/8, fd00::/8", (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
    ],
)
def test_private_networks_are_opened_by_a_word_or_a_list(text: str, expected: tuple[Network, ...]) -> None:
    settings = load(None, {"HEARTFLY_OUTGOING__ALLOW_PRIVATE": text})

    assert expected == settings.outgoing.private_networks


def test_lists_in_variables_are_written_with_commas() -> None:
    settings = load(
        None,
        {"HEARTFLY_OUTGOING__ALLOWED_PORTS": "80, 8443,", "HEARTFLY_SERVER__TRUSTED_PROXIES": "::1,10.0.0.0/8"},
    )

    assert (80, 8443) == settings.outgoing.allowed_ports
    assert (ip_network("::1"), ip_network("10.0.0.0/8")) == settings.server.proxy_networks


@pytest.mark.parametrize(
    ("text", "proxy", "shown", "secrets"),
    [
        ("", None, "", ()),
        ("http://Proxy.example:3128", Proxy(host="proxy.example", port=3128), "http://Proxy.example:3128", ()),
        ("https://[FD00:0::1]:443/", Proxy(host="fd00::1", port=443, by_tls=True), "https://[FD00:0::1]:443/", ()),
        (
            "http://hf:canary%40proxy%2Fpw@10.0.0.1:3128",
            Proxy(host="10.0.0.1", port=3128, login=b"Basic aGY6Y2FuYXJ5QHByb3h5L3B3"),
            "http://***@10.0.0.1:3128",
            {canaries.PROXY_PASSWORD, "canary%40proxy%2Fpw", "aGY6Y2FuYXJ5QHByb3h5L3B3"},
        ),
        (
            "http://hf:canary@proxy/pw@10.0.0.1:3128",
            Proxy(host="10.0.0.1", port=3128, login=b"Basic aGY6Y2FuYXJ5QHByb3h5L3B3"),
            "http://***@10.0.0.1:3128",
            {canaries.PROXY_PASSWORD, "aGY6Y2FuYXJ5QHByb3h5L3B3"},
        ),
        (
            "http://only-a-token@bücher.example:3128",
            Proxy(host="xn--bcher-kva.example", port=3128, login=b"Basic b25seS1hLXRva2VuOg=="),
            "http://***@bücher.example:3128",
            {"only-a-token", "b25seS1hLXRva2VuOg=="},
        ),
        (
            "http://hf:p%C3%A4ss@10.0.0.1:3128",
            Proxy(host="10.0.0.1", port=3128, login=b"Basic aGY6cMOkc3M="),
            "http://***@10.0.0.1:3128",
            {"päss", "p%C3%A4ss", "aGY6cMOkc3M="},
        ),
    ],
)
def test_a_proxy_is_read_and_what_signs_in_to_it_is_a_secret(
    text: str, proxy: Proxy | None, shown: str, secrets: Collection[str]
) -> None:
    settings = load(None, {"HEARTFLY_OUTGOING__PROXY": text})

    assert proxy == settings.outgoing.forward_proxy
    assert shown == settings.outgoing.shown()["proxy"]
    assert set(secrets) == set(settings.secrets)
    canaries.assert_none_in(repr(settings) + repr(proxy))


@pytest.mark.parametrize("text", ["http://hf:canary@proxy/pw@proxy:x", "http://a%3Ab:canary@proxy/pw@10.0.0.1:3128"])
def test_a_refusal_of_a_proxy_does_not_repeat_its_password(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {"HEARTFLY_OUTGOING__PROXY": text})

    canaries.assert_none_in("".join(traceback.format_exception(caught.value)))


def test_what_is_listed_is_read_as_urls_are() -> None:
    settings = load(None, {"HEARTFLY_OUTGOING__ONLY_TO": "Hooks.Slack.com., *.Bücher.example, 10.0.0.0/8"})

    assert (
        Listed(
            names=frozenset({"hooks.slack.com"}),
            endings=(".xn--bcher-kva.example",),
            networks=(ip_network("10.0.0.0/8"),),
        )
        == settings.outgoing.listed
    )
    assert not Settings().outgoing.listed


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (Server(), "http://127.0.0.1:8000"),
        (Server(host="::1", port=80), "http://[::1]:80"),
        (Server(host="0.0.0.0"), "http://localhost:8000"),
        (Server(host="::"), "http://localhost:8000"),
        (Server(base_url="https://beat.example.org/fly/"), "https://beat.example.org/fly"),
    ],
)
def test_links_begin_with_the_base_url_or_what_stands_for_it(server: Server, expected: str) -> None:
    assert expected == server.public_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
    ],
)
def test_the_driver_of_a_database_is_always_named(given: str, expected: str) -> None:
    assert expected == load(None, {"HEARTFLY_DATABASE__URL": given}).database_url


def test_without_a_url_the_database_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    settings = load(None, {"HEARTFLY_DATA__DIR": str(tmp_path)})

    assert f"sqlite:///{tmp_path}/heartfly.db" == settings.database_url


def test_no_secret_shows_in_a_repr() -> None:
    url = "postgresql://hf:canary%40database%2Fpw@db:5432/heartfly?password=an%20other"
    settings = Settings(
        database=Database(url=url),
        mail=Mail(host="mx", from_address="a@b", username="u", password=canaries.MAIL_PASSWORD),
    )

    shown = repr(settings)
    canaries.assert_none_in(shown)
    assert "database=Database(url='postgresql+psycopg://hf:***@db:5432/heartfly')" in shown
    assert "password='***'" in shown
    assert {canaries.MAIL_PASSWORD, canaries.DATABASE_PASSWORD, "canary%40database%2Fpw", "an other"} == set(
        settings.secrets
    )


def test_settings_without_secrets_have_none_to_hide() -> None:
    assert () == Settings().secrets
    assert () == Settings(database=Database(url="postgresql://u@h/d")).secrets
