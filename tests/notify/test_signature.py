"""Signatures, checked by the reference implementation of Standard Webhooks."""

from __future__ import annotations

import base64

import pytest
import standardwebhooks

from heartfly.clock import SystemClock
from heartfly.notify.signature import is_secret, new_secret, signed_headers

BODY = b'{"type":"test","name":"J\xc3\xbcrgen"}'


def test_a_signature_satisfies_the_reference_implementation() -> None:
    secret = new_secret()
    headers = signed_headers("msg-1", sent_at=SystemClock().now(), body=BODY, secrets=[secret])
    assert standardwebhooks.Webhook(secret).verify(BODY, headers) == {"type": "test", "name": "Jürgen"}


def test_while_a_secret_is_rotated_the_old_and_the_new_one_both_verify() -> None:
    old, new = new_secret(), new_secret()
    headers = signed_headers("msg-1", sent_at=SystemClock().now(), body=BODY, secrets=[new, old])
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(BODY, headers)


@pytest.mark.parametrize("tampered", ["body", "webhook-id", "webhook-timestamp"])
def test_whoever_changes_body_id_or_time_is_found_out(tampered: str) -> None:
    secret = new_secret()
    headers = signed_headers("msg-1", sent_at=SystemClock().now(), body=BODY, secrets=[secret])
    body = BODY + b" " if tampered == "body" else BODY
    if tampered == "webhook-id":
        headers["webhook-id"] = "msg-2"
    if tampered == "webhook-timestamp":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(body, headers)


def test_without_a_secret_the_message_still_has_its_id_and_time() -> None:
    headers = signed_headers("msg-1", sent_at=SystemClock().now(), body=BODY, secrets=[])
    assert set(headers) == {"webhook-id", "webhook-timestamp"}


def test_a_new_secret_is_a_secret_and_each_is_another() -> None:
    assert is_secret(new_secret())
    assert new_secret() != new_secret()


@pytest.mark.parametrize(("n_bytes", "expected"), [(23, False), (24, True), (64, True), (65, False)])
def test_a_secret_has_24_to_64_bytes(n_bytes: int, expected: bool) -> None:  # noqa: FBT001 - a table of cases
    assert is_secret("whsec_" + base64.b64encode(b"k" * n_bytes).decode()) is expected


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_no base64!", "whsec_ü", "c2VjcmV0" * 5])
def test_other_text_is_no_secret(text: str) -> None:
    assert not is_secret(text)
