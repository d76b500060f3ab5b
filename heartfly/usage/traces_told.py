"""What rules, budgets and limits keep of a customer who is erased, and what was told of them: his names go from it.

What was narrowed to him stays so: to his id, which nobody is called any more. In words there is `erased` in his place.
What else of him goes is in traces.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from heartfly.audit.forget import forget, objects
from heartfly.audit.marks import Redactor
from heartfly.core.limits.scope import LITERAL
from heartfly.core.words import IncidentEnd
from heartfly.db.changes import Tx
from heartfly.db.models import (
    alert_rules,
    alerts,
    budget_allocations,
    budget_marks,
    budgets,
    incidents,
    rule_alerts,
    rule_standings,
    usage_audit,
)
from heartfly.incidents.raised import OF_BUDGET, OF_RULE

ERASED = "erased"
_CUSTOMER = "customer"
_RESET = "reset"
"""Where the audit says in which scopes a rule was looked at anew."""


@dataclass(frozen=True, slots=True)
class Who:
    """`texts`: what senders call him, and his id. `name`: what people call him."""

    texts: frozenset[str]
    uuid: str
    name: str

    def unnamed(self, value: Any) -> Any:
        """What is told apart by customers, with his id for his names; anything else as it is."""
        if isinstance(value, list):
            return [self.unnamed(one) for one in value]
        if not isinstance(value, dict):
            return value
        found = {key: self._unnamed_of(key, one) for key, one in value.items()}
        if found.get("by") == _CUSTOMER and isinstance(found.get("name"), str):
            found["name"] = self.plain(found["name"])
        return found

    def _unnamed_of(self, key: str, value: Any) -> Any:
        if key == _CUSTOMER and isinstance(value, str):
            return self.plain(value)
        if key == _CUSTOMER and isinstance(value, list):
            return list(dict.fromkeys(self.plain(one) for one in value))
        if key == _RESET and isinstance(value, list):
            return [self.without(one) if self.has(one) else one for one in value]
        return self.unnamed(value)

    def plain(self, value: str) -> str:
        return self.uuid if value in self.texts or value.removeprefix(LITERAL) in self.texts else value

    def has(self, scope: str) -> bool:
        """Whether the scope of a rule, a JSON list, is his. Of a limit it is the limit's id and whom it counts."""
        return any(
            one in self.texts or any(f" {text} " in f"{one[36:]} " for text in self.texts) for one in json.loads(scope)
        )

    def without(self, words: str) -> str:
        """Words that are about him."""
        names = sorted({self.name, *self.texts} - {""}, key=len, reverse=True)
        literals = dict.fromkeys([*names, *(json.dumps(one, ensure_ascii=False)[1:-1] for one in names)])
        return re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, literals))})(?!\w)", ERASED, words)

    def without_after(self, words: str) -> str:
        """Words that may be about anybody: where they come to customers."""
        head, said, rest = words.partition(f"{_CUSTOMER} ")
        return f"{head}{said}{self.without(rest)}"


def from_alerts(tx: Tx, pid: int, who: Who, *, at: datetime) -> None:
    """Of alert rules, how they stand, what they raised, and what was told of them and of budgets."""
    r, s = alert_rules.c, rule_standings.c
    for row in tx.conn.execute(sa.select(r.id, r.definition).where(r.pid == pid)).all():
        less = who.unnamed(row.definition)
        if less != row.definition:
            this = (r.pid == pid, r.id == row.id)
            tx.conn.execute(sa.update(alert_rules).where(*this).values(definition=less, rev=r.rev + 1))
    gone = set()
    for one in tx.conn.execute(sa.select(s.rule_id, s.scope, s.id).where(s.pid == pid)).all():
        if who.has(one.scope):
            gone.add(one.id)
            tx.conn.execute(
                sa.delete(rule_standings).where(s.pid == pid, s.rule_id == one.rule_id, s.scope == one.scope)
            )
    _from_incidents(tx, pid, who, gone, at=at)


def _from_incidents(tx: Tx, pid: int, who: Who, gone: set[int], *, at: datetime) -> None:
    i, a = incidents.c, rule_alerts.c
    raised = {row.incident_id: row for row in tx.conn.execute(sa.select(rule_alerts).where(a.pid == pid)).all()}
    told: dict[str, list[Any]] = {}
    t = alerts.c
    kinds = sa.or_(t.source.startswith(f"{OF_RULE}:"), t.source.startswith(f"{OF_BUDGET}:"))
    for row in tx.conn.execute(sa.select(t.id, t.key, t.payload).where(t.pid == pid, kinds)).all():
        told.setdefault(row.payload.get("incident") or "", []).append(row)
    query = sa.select(incidents).where(i.pid == pid, i.source_kind.in_([OF_RULE, OF_BUDGET]))
    for row in tx.conn.execute(query).all():
        its = raised.get(row.id)
        is_his = its is not None and who.has(its.scope)
        less = who.without if is_his else who.without_after
        values: dict[str, Any] = {"source_name": less(row.source_name), "explain": less(row.explain)}
        if is_his and row.alert_key is not None:
            values["alert_key"] = _key(who, row.alert_key, row.id)
        if row.source_kind == OF_RULE and row.source_id in gone and row.closed_at is None:
            values |= {"closed_at": max(at, row.opened_at), "ended_by": IncidentEnd.DELETED.value}
        if any(getattr(row, name) != value for name, value in values.items()):
            tx.conn.execute(sa.update(incidents).where(i.pid == pid, i.id == row.id).values(values))
        if its is not None:
            _put_raised(tx, pid, its, who, is_his=is_his)
        for one in told.get(row.uuid, ()):
            payload = _worded(one.payload, less)
            key = _key(who, one.key, row.id) if is_his else one.key
            if (payload, key) != (one.payload, one.key):
                values = {"payload": {**payload, "key": key}, "key": key}
                tx.conn.execute(sa.update(alerts).where(t.pid == pid, t.id == one.id).values(values))


def _put_raised(tx: Tx, pid: int, its: Any, who: Who, *, is_his: bool) -> None:
    less = who.without if is_his else who.without_after
    scope = json.dumps([less(one) for one in json.loads(its.scope)], ensure_ascii=False) if is_his else its.scope
    values = {"scope": scope, "scope_words": less(its.scope_words), "context": _worded(its.context, less)}
    if any(getattr(its, name) != value for name, value in values.items()):
        this = (rule_alerts.c.pid == pid, rule_alerts.c.incident_id == its.incident_id)
        tx.conn.execute(sa.update(rule_alerts).where(*this).values(values))


def _key(who: Who, key: str, incident_id: int) -> str:
    """As its own as it was: no two incidents have the same."""
    less = who.without(key)
    return key if less == key else less.replace(ERASED, f"{ERASED}-{incident_id}")


_WORDS = frozenset({"scope", "words", "explain"})


def _worded(facts: Any, less: Any, *, is_words: bool = False) -> Any:
    """Its words without him; names of rules, figures and times stay."""
    if isinstance(facts, Mapping):
        return {key: _worded(one, less, is_words=key in _WORDS or is_words) for key, one in facts.items()}
    if isinstance(facts, list):
        return [_worded(one, less, is_words=is_words) for one in facts]
    return less(facts) if is_words and isinstance(facts, str) else facts


def from_budgets(tx: Tx, pid: int, who: Who) -> None:
    """They, and their parts, are of his id. Parts that he had under several names are one."""
    b, a, m = budgets.c, budget_allocations.c, budget_marks.c
    for row in tx.conn.execute(sa.select(b.id, b.scope).where(b.pid == pid)).all():
        less = who.unnamed(row.scope)
        if less != row.scope:
            tx.conn.execute(sa.update(budgets).where(b.pid == pid, b.id == row.id).values(scope=less, rev=b.rev + 1))
    his = (a.pid == pid, a.by == _CUSTOMER, a.name.in_(who.texts))
    parts: dict[int, list[Any]] = {}
    for row in tx.conn.execute(sa.select(budget_allocations).where(*his).order_by(a.id)).all():
        parts.setdefault(row.budget_id, []).append(row)
    for budget_id, some in parts.items():
        first, others = some[0], [one.id for one in some[1:]]
        of = (a.pid == pid, a.budget_id == budget_id)
        tx.conn.execute(sa.delete(budget_allocations).where(*of, a.id.in_(others)))
        values = {"name": who.uuid, "amount": sum(one.amount for one in some)}
        tx.conn.execute(sa.update(budget_allocations).where(*of, a.id == first.id).values(values))
    marks = [f"{_CUSTOMER}:{one}" for one in who.texts - {who.uuid}]
    tx.conn.execute(sa.delete(budget_marks).where(m.pid == pid, m.kind == "allocation", m.what.in_(marks)))


def from_audit_of_scopes(tx: Tx, pid: int, who: Who, redactor: Redactor | None, **table: sa.Table) -> None:
    """Of rules, budgets and limits. `table`: as of `forget`."""
    for kind in ("alert_rule", "budget", "limit"):
        for of, entries in objects(tx, pid, kind, **table).items():
            if any(who.unnamed(one) != one for one in entries):
                forget(tx, pid, of, partial(_facts, who=who, kind=kind), redactor=redactor, **table)


def from_waiting(tx: Tx, pid: int, who: Who) -> None:
    """Of entries that were not carried over yet."""
    from_audit_of_scopes(tx, pid, who, None, table=usage_audit)


def _facts(facts: Mapping[str, Any], who: Who, kind: str) -> Mapping[str, Any]:
    less: dict[str, Any] = who.unnamed(dict(facts))
    if kind == "limit" and "name" in less:  # made up of whom it is for, unless somebody gave it one
        less["name"] = ERASED
    return less
