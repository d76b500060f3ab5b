"""The first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from heartfly.db import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "addresses",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("check_id", sa.BigInteger(), nullable=False),
        sa.Column("until", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_addresses")),
    )
    with op.batch_alter_table("addresses", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_addresses_pid_check_id"), ["pid", "check_id"], unique=False)

    op.create_table(
        "alerts",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("decided_at", types.UtcInstant(), nullable=False),
        sa.Column("payload", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("pid", "key", name=op.f("uq_alerts_pid_key")),
    )
    op.create_table(
        "api_keys",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", types.Json(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("expires_at", types.UtcInstant(), nullable=True),
        sa.Column("used_at", types.UtcInstant(), nullable=True),
        sa.Column("revoked_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
    )
    op.create_table(
        "attempts",
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started_at", types.UtcInstant(), nullable=False),
        sa.Column("ended_at", types.UtcInstant(), nullable=True),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("retry_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", "attempt", name=op.f("pk_attempts")),
    )
    op.create_table(
        "blind_intervals",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=False),
        sa.Column("to_at", types.UtcInstant(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blind_intervals")),
    )
    with op.batch_alter_table("blind_intervals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_blind_intervals_to_at"), ["to_at"], unique=False)

    op.create_table(
        "channels",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config_enc", types.Bytes(), nullable=False),
        sa.Column("events", types.Json(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("failing_since", types.UtcInstant(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_channels")),
        sa.UniqueConstraint("pid", "name", name=op.f("uq_channels_pid_name")),
        sa.UniqueConstraint("uuid", name=op.f("uq_channels_uuid")),
    )
    op.create_table(
        "check_channels",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("events", types.Json(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "check_id", "channel_id", name=op.f("pk_check_channels")),
    )
    with op.batch_alter_table("check_channels", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_check_channels_pid_channel_id"), ["pid", "channel_id"], unique=False)

    op.create_table(
        "check_versions",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_at", types.UtcInstant(), nullable=False),
        sa.Column("config", types.Json(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "check_id", "from_at", name=op.f("pk_check_versions")),
    )
    op.create_table(
        "checks",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("ping_uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("slug_key", sa.Text(), nullable=True),
        sa.Column("tags", types.Json(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("period_s", sa.BigInteger(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("grace_s", sa.BigInteger(), nullable=False),
        sa.Column("max_run_s", sa.BigInteger(), nullable=True),
        sa.Column("methods", sa.Text(), nullable=False),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("gates", sa.Text(), nullable=False),
        sa.Column("sticky", sa.Boolean(), nullable=False),
        sa.Column("wants_late", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_since", types.UtcInstant(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("rev", sa.BigInteger(), nullable=False),
        sa.Column("flip_no", sa.BigInteger(), nullable=False),
        sa.Column("n_pings", sa.BigInteger(), nullable=False),
        sa.Column("n_open_runs", sa.Integer(), nullable=False),
        sa.Column("last_ping_at", types.UtcInstant(), nullable=True),
        sa.Column("last_kind", sa.Text(), nullable=True),
        sa.Column("last_duration_us", sa.BigInteger(), nullable=True),
        sa.Column("last_end_at", types.UtcInstant(), nullable=True),
        sa.Column("last_end_node", sa.BigInteger(), nullable=False),
        sa.Column("last_end_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_end_kind", sa.Text(), nullable=True),
        sa.Column("anchor_at", types.UtcInstant(), nullable=True),
        sa.Column("expected_at", types.UtcInstant(), nullable=True),
        sa.Column("goes_down_at", types.UtcInstant(), nullable=True),
        sa.Column("wake_at", types.UtcInstant(), nullable=True),
        sa.Column("late_told_at", types.UtcInstant(), nullable=True),
        sa.Column("unverified_in_row", sa.Integer(), nullable=False),
        sa.Column("schedule_error_at", types.UtcInstant(), nullable=True),
        sa.Column("schedule_error", sa.Text(), nullable=True),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("updated_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "id", name=op.f("pk_checks")),
        sa.UniqueConstraint("pid", "slug_key", name=op.f("uq_checks_pid_slug_key")),
        sa.UniqueConstraint("uuid", name=op.f("uq_checks_uuid")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("checks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_checks_pid_slug"), ["pid", "slug"], unique=False)
        batch_op.create_index(batch_op.f("ix_checks_pid_status"), ["pid", "status"], unique=False)
        batch_op.create_index(
            "ix_checks_wake_at",
            ["wake_at"],
            unique=False,
            sqlite_where=sa.text("wake_at IS NOT NULL"),
            postgresql_where=sa.text("wake_at IS NOT NULL"),
        )

    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("next_at", types.UtcInstant(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lease_until", types.UtcInstant(), nullable=True),
        sa.Column("node_id", sa.BigInteger(), nullable=True),
        sa.Column("possible_duplicate", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("done_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_deliveries_pending",
            ["channel_id", "next_at"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index(
            batch_op.f("ix_deliveries_pid_channel_id_created_at"), ["pid", "channel_id", "created_at"], unique=False
        )

    op.create_table(
        "flips",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("flip_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("decided_at", types.UtcInstant(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=False),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("retracts_flip_no", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "check_id", "flip_no", name=op.f("pk_flips")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("flips", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_flips_pid_at"), ["pid", "at"], unique=False)

    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "members",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "user_id", name=op.f("pk_members")),
    )
    op.create_table(
        "node_batches",
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lane", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_batch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "lane", name=op.f("pk_node_batches")),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("started_at", types.UtcInstant(), nullable=False),
        sa.Column("left_at", types.UtcInstant(), nullable=True),
        sa.Column("beat_at", types.UtcInstant(), nullable=False),
        sa.Column("heard_through", types.UtcInstant(), nullable=False),
        sa.Column("fenced_at", types.UtcInstant(), nullable=True),
        sa.Column("roles", types.Json(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_table(
        "notifications",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("alert_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=True),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.Column("done_at", types.UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "alert_id", "channel_id", name=op.f("pk_notifications")),
    )
    with op.batch_alter_table("notifications", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notifications_delivery_id"), ["delivery_id"], unique=False)
        batch_op.create_index(
            "ix_notifications_pending",
            ["channel_id", "source", "alert_id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index(
            "ix_notifications_unclaimed",
            ["channel_id", "alert_id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending' AND delivery_id IS NULL"),
            postgresql_where=sa.text("state = 'pending' AND delivery_id IS NULL"),
        )

    op.create_table(
        "ping_bodies",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", types.Bytes(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "check_id", "n", name=op.f("pk_ping_bodies")),
    )
    op.create_table(
        "pings",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("received_at", types.UtcInstant(), nullable=False),
        sa.Column("client_at", types.UtcInstant(), nullable=True),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("exit_status", sa.Integer(), nullable=True),
        sa.Column("rid", sa.Text(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("remote", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("body_size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "check_id", "n", name=op.f("pk_pings")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("ping_key_hash", sa.Text(), nullable=False),
        sa.Column("ping_key_enc", types.Bytes(), nullable=False),
        sa.Column("old_ping_key_hash", sa.Text(), nullable=True),
        sa.Column("old_until", types.UtcInstant(), nullable=True),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("old_ping_key_hash", name=op.f("uq_projects_old_ping_key_hash")),
        sa.UniqueConstraint("ping_key_hash", name=op.f("uq_projects_ping_key_hash")),
        sa.UniqueConstraint("slug", name=op.f("uq_projects_slug")),
        sa.UniqueConstraint("uuid", name=op.f("uq_projects_uuid")),
    )
    op.create_table(
        "run_metrics",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("value", types.ExactDecimal(), nullable=False),
        sa.PrimaryKeyConstraint("pid", "check_id", "name", "run_id", name=op.f("pk_run_metrics")),
    )
    with op.batch_alter_table("run_metrics", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_run_metrics_pid_check_id_run_id"), ["pid", "check_id", "run_id"], unique=False
        )

    op.create_table(
        "runs",
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("check_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rid", sa.Text(), nullable=True),
        sa.Column("started_at", types.UtcInstant(), nullable=True),
        sa.Column("ended_at", types.UtcInstant(), nullable=True),
        sa.Column("slot_at", types.UtcInstant(), nullable=True),
        sa.Column("at", types.UtcInstant(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("exit_status", sa.Integer(), nullable=True),
        sa.Column("duration_us", sa.BigInteger(), nullable=True),
        sa.Column("ping_n", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("pid", "check_id", "id", name=op.f("pk_runs")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_runs_open",
            ["pid", "check_id"],
            unique=False,
            sqlite_where=sa.text("outcome IS NULL"),
            postgresql_where=sa.text("outcome IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_runs_pid_check_id_at"), ["pid", "check_id", "at"], unique=False)
        batch_op.create_index(
            "uq_runs_open_anonymous",
            ["pid", "check_id"],
            unique=True,
            sqlite_where=sa.text("outcome IS NULL AND rid IS NULL"),
            postgresql_where=sa.text("outcome IS NULL AND rid IS NULL"),
        )
        batch_op.create_index(
            "uq_runs_open_rid",
            ["pid", "check_id", "rid"],
            unique=True,
            sqlite_where=sa.text("outcome IS NULL AND rid IS NOT NULL"),
            postgresql_where=sa.text("outcome IS NULL AND rid IS NOT NULL"),
        )

    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_norm", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email_norm", name=op.f("uq_users_email_norm")),
    )


def downgrade() -> None:

    op.drop_table("users")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_runs_open_rid",
            sqlite_where=sa.text("outcome IS NULL AND rid IS NOT NULL"),
            postgresql_where=sa.text("outcome IS NULL AND rid IS NOT NULL"),
        )
        batch_op.drop_index(
            "uq_runs_open_anonymous",
            sqlite_where=sa.text("outcome IS NULL AND rid IS NULL"),
            postgresql_where=sa.text("outcome IS NULL AND rid IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_runs_pid_check_id_at"))
        batch_op.drop_index(
            "ix_runs_open", sqlite_where=sa.text("outcome IS NULL"), postgresql_where=sa.text("outcome IS NULL")
        )

    op.drop_table("runs")
    with op.batch_alter_table("run_metrics", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_metrics_pid_check_id_run_id"))

    op.drop_table("run_metrics")
    op.drop_table("projects")
    op.drop_table("pings")
    op.drop_table("ping_bodies")
    with op.batch_alter_table("notifications", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_notifications_unclaimed",
            sqlite_where=sa.text("state = 'pending' AND delivery_id IS NULL"),
            postgresql_where=sa.text("state = 'pending' AND delivery_id IS NULL"),
        )
        batch_op.drop_index(
            "ix_notifications_pending",
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.drop_index(batch_op.f("ix_notifications_delivery_id"))

    op.drop_table("notifications")
    op.drop_table("nodes")
    op.drop_table("node_batches")
    op.drop_table("members")
    op.drop_table("leases")
    op.drop_table("instance")
    with op.batch_alter_table("flips", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_flips_pid_at"))

    op.drop_table("flips")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deliveries_pid_channel_id_created_at"))
        batch_op.drop_index(
            "ix_deliveries_pending",
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )

    op.drop_table("deliveries")
    with op.batch_alter_table("checks", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_checks_wake_at",
            sqlite_where=sa.text("wake_at IS NOT NULL"),
            postgresql_where=sa.text("wake_at IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_checks_pid_status"))
        batch_op.drop_index(batch_op.f("ix_checks_pid_slug"))

    op.drop_table("checks")
    op.drop_table("check_versions")
    with op.batch_alter_table("check_channels", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_check_channels_pid_channel_id"))

    op.drop_table("check_channels")
    op.drop_table("channels")
    with op.batch_alter_table("blind_intervals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_blind_intervals_to_at"))

    op.drop_table("blind_intervals")
    op.drop_table("attempts")
    op.drop_table("api_keys")
    op.drop_table("alerts")
    with op.batch_alter_table("addresses", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_addresses_pid_check_id"))

    op.drop_table("addresses")
