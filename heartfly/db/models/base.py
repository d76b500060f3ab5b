"""What all tables share: the metadata with its naming convention, and the id column."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=_NAMES)
usage_metadata = MetaData(naming_convention=_NAMES)
"""Of the part that is usage (db/parts.py)."""

APART = "apart"
"""In a sealed column's `info`: for what alone (sealing.py)."""
WALK = "walk"
"""In a table's `info`: the columns along which a project's rows are walked, where that is not the primary key."""


def pid() -> Column[int]:
    """The project that owns the row."""
    return Column("pid", BigInteger, primary_key=True, autoincrement=False)


def key(name: str) -> Column[int]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)
