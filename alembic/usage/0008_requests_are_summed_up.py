"""Requests are summed up, the slowest are kept, and projects have rules for paths"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.add_column("windows", sa.Column("thinned", sa.Boolean(), nullable=False, server_default=sa.false()))
    endpoints = sa.text("kind = 'endpoint'")
    op.create_index(
        "ix_usage_names_endpoints", "usage_names", ["pid", "text"], sqlite_where=endpoints, postgresql_where=endpoints
    )
    op.create_table(
        "request_rollups",
        _number("pid"),
        sa.Column("cube", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("start_at", types.UtcInstant(), nullable=False),
        *(_number(name) for name in ("gen", "key1", "key2")),
        sa.Column("status", sa.Integer(), autoincrement=False, nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("n", "n_timed", "latency_us", "latency_max_us", "bytes_in", "bytes_out")
        ),
        sa.Column("latencies", types.Bytes(), nullable=True),
        sa.PrimaryKeyConstraint(
            *("pid", "cube", "tier", "start_at", "gen", "key1", "key2", "status"), name=op.f("pk_request_rollups")
        ),
        sqlite_with_rowid=False,
    )
    pairs = sa.text("cube = 3")
    op.create_index(
        "ix_request_rollups_pairs",
        "request_rollups",
        ["pid", "cube", "tier", "start_at", "gen", "key2"],
        sqlite_where=pairs,
        postgresql_where=pairs,
    )
    op.create_table(
        "slow_requests",
        _number("pid"),
        sa.Column("start_at", types.UtcInstant(), nullable=False),
        _number("gen"),
        _number("event_id"),
        sa.Column("at", types.UtcInstant(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("latency_us", "endpoint_id", "subject_id")),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "start_at", "gen", "event_id", name=op.f("pk_slow_requests")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_slow_requests_subject_id_pid"), "slow_requests", ["subject_id", "pid"])
    op.create_table(
        "path_rules",
        _number("pid"),
        _number("id"),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_path_rules")),
    )
    # What came before is summed up, too, as far as its events are kept.
    op.execute(
        """
        INSERT INTO dirty_hours (pid, hour, seq)
        SELECT pid, start_at, coalesce(seq, 0) FROM windows
        WHERE tier = 'hour' AND sealed_at IS NULL
          AND pid IN (SELECT pid FROM usage_names WHERE kind = 'type' AND text = 'http.request')
        ON CONFLICT DO NOTHING
        """
    )
