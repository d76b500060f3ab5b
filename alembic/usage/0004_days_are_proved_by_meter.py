"""Days are proved by meter, verified in turn, and keep what they were proved with"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SETTLED = "('final', 'amended')"


def upgrade() -> None:
    op.add_column("usage_days", sa.Column("events_digest", types.Bytes(), nullable=True))
    op.add_column("usage_days", sa.Column("verified_at", types.UtcInstant(), nullable=True))
    op.add_column("windows", sa.Column("proved_gen", sa.BigInteger(), nullable=True))
    op.create_table(
        "proofs",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("meter_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("fingerprint", types.Bytes(), nullable=False),
        sa.Column("amended", sa.Boolean(), nullable=False),
        sa.Column("moved", sa.Boolean(), nullable=False),
        sa.Column("n_missing", sa.BigInteger(), nullable=False),
        sa.Column("n_no_amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "meter_id", "day", name=op.f("pk_proofs")),
    )
    op.create_index(op.f("ix_proofs_pid_day"), "proofs", ["pid", "day"])
    empty = "x''" if op.get_bind().dialect.name == "sqlite" else "''::bytea"
    # Every meter that there was took part when a day was proved: with figures of which no fingerprint was kept.
    op.execute(
        "INSERT INTO proofs (pid, meter_id, day, fingerprint, amended, moved, n_missing, n_no_amount)"  # noqa: S608
        f" SELECT d.pid, m.id, d.day, {empty}, d.state = 'amended', false, 0, 0 FROM usage_days AS d"
        f" JOIN meters AS m ON m.pid = d.pid WHERE d.state IN {_SETTLED}"
    )
    op.execute(
        "UPDATE windows SET proved_gen = gen WHERE tier = 'day' AND NOT stale AND EXISTS"  # noqa: S608
        " (SELECT 1 FROM usage_days AS d WHERE d.pid = windows.pid AND d.from_at = windows.start_at"
        f" AND d.state IN {_SETTLED})"
    )
