"""Secrets that must never show, one of each shape, and the look for them.

A test that drives something end to end gives it these as its real secrets, then hands every line
that came out to `assert_none_in`. They are random in nothing, so a find names what leaked.
"""

from __future__ import annotations

import re

PING_UUID = "c0ffee00-dead-4bee-8fed-0123456789ab"
PING_KEY = "cAnArY0pInG1kEy2aBcDeF"
API_KEY = "hf_cAnArY3aPi4kEy5qWeRtYuIoP6aSdFgH"
WEBHOOK_SECRET = "whsec_Y2FuYXJ5LXdlYmhvb2stc2VjcmV0"
WEBHOOK_URL = "https://hooks.example.net/c/anary-path-7fb2?auth=canary-query-91"
SLACK_URL = "https://hooks.slack.com/services/TCANARY/BCANARY/canarySlackPath42"
MAIL_PASSWORD = "canary mail pässword/1"
DATABASE_PASSWORD = "canary@database/pw"
PROXY_PASSWORD = "canary@proxy/pw"

_TELLTALE = {
    "ping UUID": PING_UUID,
    "ping UUID, in capitals": PING_UUID.upper(),
    "ping UUID, without dashes": PING_UUID.replace("-", ""),
    "ping key": PING_KEY,
    "API key": API_KEY.removeprefix("hf_"),
    "webhook secret": WEBHOOK_SECRET.removeprefix("whsec_"),
    "webhook path": "anary-path-7fb2",
    "webhook query": "canary-query-91",
    "Slack path": "canarySlackPath42",
    "mail password": MAIL_PASSWORD,
    "mail password, escaped": "canary mail p\\u00e4ssword",
    "database password": DATABASE_PASSWORD,
    "database password, percent-encoded": "canary%40database%2Fpw",
    "proxy password": PROXY_PASSWORD,
    "proxy password, percent-encoded": "canary%40proxy%2Fpw",
    "proxy login, as it is sent": "aGY6Y2FuYXJ5QHByb3h5L3B3",
}


# What the suite makes at random cannot be listed, but it has a shape.
_SHAPES = {
    "an API key": re.compile(r"\bhf_[A-Za-z0-9]{43}\b"),
    "a webhook secret": re.compile(r"\bwhsec_[A-Za-z0-9+/=]{20,}"),
    "a ping address": re.compile(
        r"/(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|ping/[A-Za-z0-9]{22})\b", re.IGNORECASE
    ),
    "a URL's query": re.compile(r"https?://[^\s\"']*\?[^\s\"']"),
}


def found_in(text: str) -> list[str]:
    """Return the names of the secrets that the text gives away."""
    return [name for name, secret in _TELLTALE.items() if secret in text]


def shapes_in(text: str) -> list[str]:
    """Return what looks like a secret in lines of a log, whoever made it."""
    return found_in(text) + [name for name, shape in _SHAPES.items() if shape.search(text)]


def assert_none_in(text: str) -> None:
    assert [] == found_in(text)
