"""Prices of calls, a mark of their last change, and prices of meters"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _span_and_amount() -> list[sa.Column[object]]:
    return [
        sa.Column("from_at", types.UtcInstant(), nullable=False),
        sa.Column("to_at", types.UtcInstant(), nullable=True),
        sa.Column("amount", types.RateText(), nullable=False),
        *_texts("currency", "source"),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "prices",
        _number("pid"),
        _number("id"),
        *_texts("provider", "product", "unit", "tier", "condition"),
        *_span_and_amount(),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_prices")),
        sa.UniqueConstraint(
            *("pid", "provider", "product", "unit", "tier", "condition", "from_at"), name="uq_prices_key"
        ),
    )
    op.create_table(
        "price_books",
        _number("pid"),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", name=op.f("pk_price_books")),
    )
    op.create_table(
        "meter_prices",
        _number("pid"),
        _number("id"),
        sa.Column("meter_id", sa.BigInteger(), nullable=False),
        *_texts("only", "only_hash"),
        *_span_and_amount(),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_meter_prices")),
        sa.UniqueConstraint("pid", "meter_id", "only_hash", "from_at", name="uq_meter_prices_key"),
    )
    op.create_index(op.f("ix_meter_prices_pid_meter_id_id"), "meter_prices", ["pid", "meter_id", "id"])


def downgrade() -> None:
    op.drop_table("meter_prices")
    op.drop_table("price_books")
    op.drop_table("prices")
