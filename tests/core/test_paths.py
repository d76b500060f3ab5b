"""Paths as endpoints: what tells one thing from another goes, words stay."""

from __future__ import annotations

import random
import string
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartfly.core.paths import VERSION, PathRuleError, Rules, normal, plain_path, rules_of

UUID = "550e8400-e29b-41d4-a716-446655440000"
ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/users/17/orders", "/users/{id}/orders"),
        ("/users/-1", "/users/{id}"),
        (f"/users/{UUID}", "/users/{id}"),
        (f"/users/{UUID.upper()}/", "/users/{id}/"),
        (f"/x/{ULID}", "/x/{id}"),
        (f"/x/{ULID.lower()}", "/x/{id}"),
        ("/commits/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commits/{id}"),
        ("/objects/507F1F77BCF86CD799439011", "/objects/{id}"),
        ("/x/cjld2cjxh0000qzrmn831i7rn", "/x/{id}"),
        ("/x/V1StGXR8_Z5jdHi6B-myT", "/x/{id}"),
        ("/x/0ujtsYcgvSTl8PAuAdqWYSMnLOv", "/x/{id}"),
        ("/v1/customers/cus_NffrFeUfNV2Hib", "/v1/customers/{id}"),
        ("/people/ada@example.com", "/people/{email}"),
        ("/people/ada%40example.com/keys", "/people/{email}/keys"),
        ("/days/2026-11-28", "/days/{date}"),
        ("/months/2026-11", "/months/{date}"),
        ("/at/2026-11-28T13:00:00Z", "/at/{date}"),
        ("/archive/2026/11/28", "/archive/{id}/{id}/{id}"),
        ("/users/17.json", "/users/{id}.json"),
        (f"/media/{UUID}.jpeg", "/media/{id}.jpeg"),
    ],
)
def test_identifiers_go_by_whole_segments(path: str, wanted: str) -> None:
    assert wanted == normal(path)


@pytest.mark.parametrize(
    "path",
    [
        "/auth/2fa/verify",
        "/3d-models",
        "/2024-report",
        "/defaced-page",
        "/facade-added",
        "/v1/users",
        "/presentations/logstash-monitorama-2013/images/kibana-dashboard3.png",
        "/posts/ten-things-we-learned-in-2024-and-2025",
        "/reports/QuarterlyReport2024Final",
        "/internationalization2",
        "/iphone12-pro-max-256gb-5g-v2-2nd",
        "/logstash-monitorama-with-no-digits",
        "/@ada/posts",
        "/npm/lodash@4.17.21/lodash.js",
        "/days/2026-13-41",
        "/static/app.9f1b.js",
        "/",
        "*",
        "",
    ],
)
def test_words_stay_with_their_digits(path: str) -> None:
    assert path == normal(path)


def test_an_endpoint_has_no_query_no_host_and_no_double_slashes() -> None:
    assert "/users/{id}" == normal("/users/17?token=x#y")
    assert "/users/{id}" == normal("https://example.com:443/users/17?a=/b")
    assert "/" == normal("http://example.com")
    assert "/users/{id}" == normal("//users///17")
    assert "example.com:443" == normal("example.com:443")
    assert "/a" == plain_path("/a?b?c")


def test_route_templates_come_first_and_the_one_that_fixes_more_wins() -> None:
    rules = rules_of(["/users/{name}", "/users/me", "/{any}/me", "/files/{path...}", "/<int:year>/:month/x", "/f/*"])

    assert "/users/{name}" == rules.normal("/users/ada?x=1")
    assert "/users/me" == rules.normal("/users/me")
    assert "/{any}/me" == rules.normal("/groups/me")
    assert "/files/{path...}" == rules.normal("/files/a/b/17.txt")
    assert "/<int:year>/:month/x" == rules.normal("/2026/11/x")
    assert "/f/*" == rules.normal("/f/17")
    assert "/users/{id}/orders" == rules.normal("/users/17/orders")
    assert "/users/" == rules.normal("/users/")


def test_rules_of_segments_come_before_what_is_built_in() -> None:
    rules = rules_of(["# ours", "", "sku-* {sku}", "v?* =", "20?? {year}"])

    assert "/shop/{sku}/{id}" == rules.normal("/shop/sku-red-17/4")
    assert "/v0ujtsYcgvSTl8PAuAdqWYSMnLO" == rules.normal("/v0ujtsYcgvSTl8PAuAdqWYSMnLO")
    assert "/{year}/{id}" == rules.normal("/2026/11")


def test_each_set_of_rules_has_a_version_of_its_own() -> None:
    one, other = rules_of(["sku-* {sku}"]), rules_of(["sku-* {id}"])

    assert str(VERSION) == Rules().version == rules_of(["# nothing"]).version
    assert one.version.startswith(f"{VERSION}-")
    assert one.version != other.version
    assert one.version == rules_of(["", "sku-*   {sku}"]).version


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("users/{id}", "line 2: is neither"),
        ("/a {b}", "line 2: is neither"),
        ("sku-* sku", "line 2: sku must be ="),
        ("sku-* {}", "line 2: {} must be ="),
        ("/a/{rest...}/b", "line 2: /a/{rest...}/b: only the last segment"),
        ("/a/{name}.json", "line 2: /a/{name}.json: a parameter is a whole segment"),
    ],
)
def test_a_rule_that_cannot_be_read_is_named_by_its_line(line: str, said: str) -> None:
    with pytest.raises(PathRuleError) as raised:
        rules_of(["# ours", line])

    assert str(raised.value).startswith(said)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartfly.core.paths._REMEMBERED", 2)
    rules = Rules()

    assert ["/a", "/b", "/c", "/a"] == [rules.normal(path) for path in ("/a", "/b", "/c", "/a")]
    assert 2 >= len(rules._known)


@pytest.mark.parametrize("template", [None, "/users/{name}", "/{any}/{rest...}"])
@settings(max_examples=40)
@given(path=st.text(alphabet=string.ascii_letters + string.digits + "/{}@.%-_?#:", max_size=60))
def test_what_is_normal_stays_so(template: str | None, path: str) -> None:
    rules = rules_of([template] if template else [])
    once = rules.normal(path)

    assert once == rules.normal(once)


@settings(max_examples=40)
@given(st.lists(st.text(min_size=1, max_size=20).filter(lambda text: not set(text) & set("/?#")), max_size=6))
def test_segments_are_looked_at_each_for_itself(segments: list[str]) -> None:
    path = "/" + "/".join(segments)

    assert path.count("/") == normal(path).count("/")
    assert "/" + "/".join(normal("/" + segment)[1:] for segment in segments) == normal(path)


def test_identifiers_made_at_random_are_told_from_words() -> None:
    chance = random.Random(17)
    made = ["".join(chance.choices(string.ascii_letters + string.digits, k=27)) for _ in range(1000)]
    low = ["".join(chance.choices(string.ascii_lowercase + string.digits, k=25)) for _ in range(1000)]
    uuids = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(1000)]

    found = {name: sum(normal(f"/x/{one}") == "/x/{id}" for one in ids) for name, ids in
             {"base62": made, "base36": low, "uuid": uuids}.items()}  # fmt: skip

    assert 990 <= found["base62"]
    assert 980 <= found["base36"]
    assert 1000 == found["uuid"]
