"""Usual requests by column, as the import of logs sends them: what many have in common is told once.

What they are is decided in usual.py. Told one by one they are the same events, to the last byte.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from heartfly.core.access.as_event import TYPE, agent_told, head_of, rfc3339, with_id
from heartfly.core.access.customers import ANONYMOUS

Value = TypeVar("Value", bound=Hashable)

_IP = '"ip":'
_NOBODY = frozenset(("", "-"))
_BETWEEN = '","'


@dataclass(slots=True)
class RequestColumns:
    """Of nobody in particular. Texts hold neither quotation marks nor backslashes, and can be printed.

    `ips`: what is told of an address, as the first property and with the comma behind it, or nothing. `kinds`: as JSON,
    the properties that many have together, the method first. `sizes`: of answers, in bytes. `latencies`, and
    `upstreams` of servers behind: exact, in milliseconds. What nobody knows is empty, or a hyphen of an agent.
    """

    ids: list[str] = field(default_factory=list)
    ats: list[datetime] = field(default_factory=list)
    ips: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    latencies: list[str] = field(default_factory=list)
    upstreams: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ats)

    def add(self, other: RequestColumns) -> None:
        for column, more in zip(self._columns(), other._columns(), strict=True):
            column.extend(more)

    def first(self, n: int) -> RequestColumns:
        """Takes them out."""
        taken = RequestColumns(*(column[:n] for column in self._columns()))
        for column in self._columns():
            del column[:n]
        return taken

    def only(self, place: int) -> RequestColumns:
        return RequestColumns(*([column[place]] for column in self._columns()))

    def _columns(self) -> tuple[list[Any], ...]:
        heads = self.ids, self.ats, self.ips, self.paths
        return *heads, self.sizes, self.kinds, self.agents, self.latencies, self.upstreams

    def behind_ids(self) -> list[str]:
        """Of each, its event behind the transaction id, as as_event.py spells it."""
        heads = {at: f'{head_of(ANONYMOUS, at)}"properties":{{' for at in set(self.ats)}
        kinds = {kind: kind[1:-1].split(",", 1) for kind in set(self.kinds)}
        agents = {agent: agent_told(agent) if agent not in _NOBODY else "" for agent in set(self.agents)}
        columns = zip(
            map(heads.__getitem__, self.ats),
            self.ips,
            map(kinds.__getitem__, self.kinds),
            self.paths,
            self.sizes,
            map(agents.__getitem__, self.agents),
            [f'"latency_ms":{one},' if one else "" for one in self.latencies],
            [f',"upstream_ms":{one}' if one else "" for one in self.upstreams],
            strict=True,
        )
        return [
            f'{head}{ip}{latency}{method},"path":"{path}","response_bytes":{size},{rest}{upstream}{agent}}}}}'
            for head, ip, (method, rest), path, size, agent, latency, upstream in columns
        ]

    def events(self) -> list[str]:
        """One by one, as JSON."""
        return list(map(with_id, self.ids, self.behind_ids()))

    def body(self) -> str:
        """What `POST /v1/events/columns` takes."""
        ats, kinds, agents = _numbered(self.ats), _numbered(self.kinds), _numbered(self.agents)
        properties = f'"path":["{_BETWEEN.join(self.paths)}"],"response_bytes":[{",".join(self.sizes)}]'
        if not agents.keys() <= _NOBODY:
            values = ",".join(["null" if one in _NOBODY else f'"{one}"' for one in agents])
            properties += f',"user_agent":{{"values":[{values}],"places":[{_told(self.agents, agents)}]}}'
        for name, column in (("latency_ms", self.latencies), ("upstream_ms", self.upstreams)):
            if any(column):
                properties += f',"{name}":[{",".join([one or "null" for one in column])}]'
        if any(self.ips):
            properties = f'"ip":[{self._told_ips()}],{properties}'
        return (
            f'{{"transaction_id":["{_BETWEEN.join(self.ids)}"],"customer_id":"{ANONYMOUS}","event_type":"{TYPE}",'
            f'"timestamp":{{"values":["{_BETWEEN.join(map(rfc3339, ats))}"],"places":[{_told(self.ats, ats)}]}},'
            f'"properties":{{{properties}}},'
            f'"alike":[{{"values":[{",".join(kinds)}],"places":[{_told(self.kinds, kinds)}]}}]}}'
        )

    def _told_ips(self) -> str:
        if all(self.ips):
            return "".join(self.ips).replace(_IP, "")[:-1]
        return ",".join([one[len(_IP) : -1] or "null" for one in self.ips])


def _numbered(column: list[Value]) -> dict[Value, str]:
    """Each of its values once, in the order in which they come, with its place."""
    return {one: str(n) for n, one in enumerate(dict.fromkeys(column))}


def _told(column: list[Value], numbered: dict[Value, str]) -> str:
    return ",".join([numbered[one] for one in column])
