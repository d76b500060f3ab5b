"""What people call what has numbers: meters and customers, in words about figures that differ."""

from __future__ import annotations

from functools import cache

import sqlalchemy as sa

from heartfly.db.models import aliases, customers, meter_versions, meters, usage_names


class Named:
    def __init__(self, connection: sa.Connection, pid: int) -> None:
        self._connection = connection
        self._pid = pid
        self.customer = cache(self._customer)
        self.slugs = dict(self._slugs())

    def _slugs(self) -> list[tuple[int, str]]:
        """Of each version of a meter."""
        of_meter = sa.and_(meters.c.pid == meter_versions.c.pid, meters.c.id == meter_versions.c.meter_id)
        query = sa.select(meter_versions.c.id, meters.c.slug).join(meters, of_meter)
        return [(row.id, row.slug) for row in self._connection.execute(query.where(meter_versions.c.pid == self._pid))]

    def _customer(self, subject_id: int) -> str:
        """`Acme (c-17)`: his name, and what was sent for him; only that where nobody is known by it."""
        of_alias = sa.and_(aliases.c.pid == usage_names.c.pid, aliases.c.text == usage_names.c.text)
        of_customer = sa.and_(customers.c.pid == aliases.c.pid, customers.c.id == aliases.c.customer_id)
        query = (
            sa.select(usage_names.c.text, customers.c.name)
            .outerjoin(aliases, of_alias)
            .outerjoin(customers, of_customer)
            .where(usage_names.c.pid == self._pid, usage_names.c.id == subject_id)
        )
        row = self._connection.execute(query).first()
        if row is None:
            return f"number {subject_id}"
        by_id = sa.select(customers.c.name).where(customers.c.pid == self._pid, customers.c.uuid == row.text)
        name = self._connection.execute(by_id).scalar() or row.name
        return str(row.text) if name is None else f"{name} ({row.text})"
