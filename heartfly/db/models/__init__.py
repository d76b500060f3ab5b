"""The tables, a file for each aggregate. `pid` (project) comes first in every key, so that no query
can forget its tenant and a distributed PostgreSQL can shard by it.

alembic/versions/ must make exactly these; a test compares them on both databases.
"""

from heartfly.db.models.accounts import (
    api_keys,
    backup_codes,
    email_changes,
    invites,
    members,
    passkeys,
    projects,
    resets,
    sessions,
    users,
    wrong_passwords,
)
from heartfly.db.models.archives import archive_erasures, archives
from heartfly.db.models.audit import audit, audit_chain, audit_clasps, audit_gone
from heartfly.db.models.base import metadata, usage_metadata
from heartfly.db.models.budgets import budget_allocations, budget_channels, budget_marks, budget_periods, budgets
from heartfly.db.models.calls import call_names, call_rollups
from heartfly.db.models.checks import (
    check_channels,
    check_days,
    check_needs,
    check_versions,
    check_views,
    checks,
    flips,
    run_metrics,
    runs,
)
from heartfly.db.models.corrections import backfill_events, backfills, event_corrections
from heartfly.db.models.ground import addresses, blind_intervals, instance, leases, node_batches, nodes, ping_minutes
from heartfly.db.models.incidents import cause_tellings, incident_notes, incident_shares, incidents
from heartfly.db.models.jobs import job_runs, jobs
from heartfly.db.models.limits import (
    limit_books,
    limit_counters,
    limit_denials,
    limit_hours,
    limit_reservations,
    limit_told,
    limits,
)
from heartfly.db.models.notify import alerts, attempts, channels, deliveries, notifications
from heartfly.db.models.pings import ping_bodies, pings
from heartfly.db.models.prices import meter_prices, price_books, prices
from heartfly.db.models.public import badge_addresses, status_pages
from heartfly.db.models.reports import report_mails, report_sendings, report_shares
from heartfly.db.models.requests import path_rules, request_rollups, request_sheets, slow_requests
from heartfly.db.models.rollups import (
    intake,
    meter_versions,
    meters,
    proofs,
    rollups,
    uncounted,
    unique_values,
    usage_days,
    usage_groups,
    windows,
)
from heartfly.db.models.rules import alert_rules, rule_alerts, rule_defaults, rule_standings
from heartfly.db.models.series import metric_series
from heartfly.db.models.silences import reminders, silences
from heartfly.db.models.usage import (
    aliases,
    customers,
    dead_letters,
    dirty_hours,
    event_conflicts,
    event_ids,
    events,
    source_hours,
    usage_audit,
    usage_names,
    usage_sources,
)
from heartfly.db.models.watches import watches

__all__ = [
    "addresses",
    "alert_rules",
    "alerts",
    "aliases",
    "api_keys",
    "archive_erasures",
    "archives",
    "attempts",
    "audit",
    "audit_chain",
    "audit_clasps",
    "audit_gone",
    "backfill_events",
    "backfills",
    "backup_codes",
    "badge_addresses",
    "blind_intervals",
    "budget_allocations",
    "budget_channels",
    "budget_marks",
    "budget_periods",
    "budgets",
    "call_names",
    "call_rollups",
    "cause_tellings",
    "channels",
    "check_channels",
    "check_days",
    "check_needs",
    "check_versions",
    "check_views",
    "checks",
    "customers",
    "dead_letters",
    "deliveries",
    "dirty_hours",
    "email_changes",
    "event_conflicts",
    "event_corrections",
    "event_ids",
    "events",
    "flips",
    "incident_notes",
    "incident_shares",
    "incidents",
    "instance",
    "intake",
    "invites",
    "job_runs",
    "jobs",
    "leases",
    "limit_books",
    "limit_counters",
    "limit_denials",
    "limit_hours",
    "limit_reservations",
    "limit_told",
    "limits",
    "members",
    "metadata",
    "meter_prices",
    "meter_versions",
    "meters",
    "metric_series",
    "node_batches",
    "nodes",
    "notifications",
    "passkeys",
    "path_rules",
    "ping_bodies",
    "ping_minutes",
    "pings",
    "price_books",
    "prices",
    "projects",
    "proofs",
    "reminders",
    "report_mails",
    "report_sendings",
    "report_shares",
    "request_rollups",
    "request_sheets",
    "resets",
    "rollups",
    "rule_alerts",
    "rule_defaults",
    "rule_standings",
    "run_metrics",
    "runs",
    "sessions",
    "silences",
    "slow_requests",
    "source_hours",
    "status_pages",
    "uncounted",
    "unique_values",
    "usage_audit",
    "usage_days",
    "usage_groups",
    "usage_metadata",
    "usage_names",
    "usage_sources",
    "users",
    "watches",
    "windows",
    "wrong_passwords",
]
