"""One-time codes: the vectors of the RFC, the clock's drift, and that a code counts once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartfly.core import totp

SECRET = b"12345678901234567890"
NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
     (2000000000, "69279037"), (20000000000, "65353130")],
)  # fmt: skip
def test_codes_are_those_of_rfc_6238_appendix_b(seconds: int, code: str) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)

    assert code[-6:] == totp.code_of(SECRET, totp.step_of(at))


@pytest.mark.parametrize(("seconds", "counts"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_phone_may_be_half_a_minute_wrong(seconds: int, *, counts: bool) -> None:
    code = totp.code_of(SECRET, totp.step_of(NOW + timedelta(seconds=seconds)))

    assert counts == (totp.step_of_code(SECRET, code, now=NOW, after=None) is not None)


def test_a_code_that_counted_and_all_before_it_count_no_more() -> None:
    step = totp.step_of(NOW)
    codes = {n: totp.code_of(SECRET, step + n) for n in (-1, 0, 1)}
    counting = {n: totp.step_of_code(SECRET, code, now=NOW, after=step) for n, code in codes.items()}

    assert {-1: None, 0: None, 1: step + 1} == counting


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345", "12345\x00"])
def test_what_is_no_code_counts_never(code: str) -> None:
    assert totp.step_of_code(SECRET, code, now=NOW, after=None) is None


@given(st.binary(min_size=16, max_size=32), st.integers(min_value=1, max_value=2**31))
def test_a_code_may_be_typed_with_a_space(secret: bytes, step: int) -> None:
    code = totp.code_of(secret, step)
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=step * totp.STEP_S)

    assert totp.DIGITS == len(code)
    assert step == totp.step_of_code(secret, f" {code[:3]} {code[3:]} ", now=at, after=step - 1)


def test_an_app_reads_the_secret_from_the_address() -> None:
    url = urlsplit(totp.address(SECRET, issuer="Heartfly", account="ada+x@example.com&y=1"))

    assert ("otpauth", "totp", "/Heartfly:ada%2Bx@example.com%26y%3D1") == (url.scheme, url.netloc, url.path)
    assert {"secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"], "issuer": ["Heartfly"]} == parse_qs(url.query)
    assert "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ" == totp.spelled(SECRET)
