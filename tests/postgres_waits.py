"""Who waits for a lock in the database of a test: the server is every worker's, and in others' somebody often does."""

from __future__ import annotations

import sqlalchemy as sa

N_WAITING = sa.text("""
SELECT count(DISTINCT pid) FROM pg_locks
 WHERE NOT granted AND pid IN (
    SELECT pid FROM pg_locks
     WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
 )
""")
"""How many connections to this database wait. Who waits for a row holds its table, so that he is known by that."""
