"""Reports of customers are shared by links that end, and mailed by themselves"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "report_shares",
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("expires_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_report_shares")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_report_shares_token_hash")),
    )
    op.create_index(op.f("ix_report_shares_pid_customer"), "report_shares", ["pid", "customer"])
    op.create_table(
        "report_mails",
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("rhythm", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("addresses", types.Json(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_report_mails")),
    )
    op.create_index(op.f("ix_report_mails_pid_customer"), "report_mails", ["pid", "customer"])
    op.create_table(
        "report_sendings",
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("mail_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("wrong", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "mail_id", "first_day", "address", name=op.f("pk_report_sendings")),
    )


def downgrade() -> None:
    op.drop_table("report_sendings")
    op.drop_table("report_mails")
    op.drop_table("report_shares")
