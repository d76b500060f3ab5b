"""Outgoing HTTP runs on both event loops that the server may use."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(
    params=[("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param
