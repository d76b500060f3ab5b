"""For tests that say nothing of databases: what is refused before any is asked, and what pages make of a text.

Whatever a database could do differently, such as to find, to sort and to store, is tested on both.
"""

from __future__ import annotations

import pytest

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize(
    "database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)

postgres_if_slow = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])], indirect=True
)
"""For a story of weeks each of whose steps other tests take on both: on PostgreSQL with `make test-all`."""
