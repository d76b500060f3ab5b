"""Whatever a project has, what is written down of it, read again, changes nothing in it: values alone, no server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from heartfly.checks.config import CheckConfig, as_asked
from heartfly.cli.as_code.differ import Verb, plan_of
from heartfly.cli.as_code.export import exported
from heartfly.cli.as_code.file import read
from heartfly.cli.as_code.settings import FIELDS, READERS, timing
from heartfly.cli.as_code.there import There, Thing

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
_WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" :#'\"-[]{},&*!|>%@`"), max_size=12
).map(lambda word: f"a{word}b")
_SLUG = st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True)
_ZONE = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"])
_SCHEDULE = st.one_of(
    st.fixed_dictionaries({"period": st.integers(5, 10**6)}),
    st.fixed_dictionaries(
        {
            "cron": st.sampled_from(["30 2 * * *", "@daily", "*/5 * * * MON"]),
            "zone": _ZONE,
            "dialect": st.sampled_from(["cron", "kubernetes", "systemd"]),
        }
    ),
    st.fixed_dictionaries({"oncalendar": st.sampled_from(["daily", ["Mon 12:00", "*-*-* 6,18:00"]]), "zone": _ZONE}),
)
_CHECK = st.fixed_dictionaries(
    {},
    optional={
        "name": _WORD,
        "tags": st.lists(_WORD, max_size=3),
        "description": st.lists(_WORD, max_size=3).map("\n".join),
        "schedule": _SCHEDULE,
        "grace": st.integers(1, 10**6),
        "max_run": st.one_of(st.none(), st.integers(1, 10**6)),
        "methods": st.sampled_from(["", "POST"]),
        "gates": st.lists(st.sampled_from(["rows > 0", "rejected / events < 1%", "duration < 15m warn"]), unique=True),
        "sticky": st.booleans(),
        "unverified_is_down": st.booleans(),
        "host": _WORD,
        "filters": st.one_of(st.none(), st.fixed_dictionaries({"failure": st.lists(_WORD, max_size=2)})),
    },
)


def there_of(checks: dict[str, Any]) -> There:
    """A project in which these checks are, each whole, as the API would tell it."""
    usual = as_asked(CheckConfig()) | {"channels": [], "needs": []}
    usual["schedule"] = timing(usual["schedule"])
    things = {}
    for slug, raw in checks.items():
        entry = READERS["checks"](slug, raw, NOW)
        whole = {name: usual[name] for name in FIELDS["checks"]} | {"name": slug} | dict(entry.settings)
        things[slug] = Thing(id=slug, raw={}, settings=whole)
    return There(sections={"channels": {}, "checks": things})


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_SLUG, _CHECK, max_size=3))
@example({"on": {"name": "no", "tags": ["12", "null", "~", "yes"], "description": " a\n  b\n"}})
@example({"0x1f": {"name": "1e3"}, "1_000": {"name": "2026-03-01"}, "-": {"name": "=", "tags": ["<<"]}})
def test_what_is_written_down_changes_nothing(checks: dict[str, Any]) -> None:
    there = there_of(checks)
    wanted = read(exported(there), name="f", now=NOW, env={})

    assert [] == plan_of(wanted, there, prune=False).changes
    assert set(checks) == set(wanted.sections.get("checks", {}))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_SLUG, _CHECK, min_size=1, max_size=2), st.dictionaries(_SLUG, _CHECK, min_size=1, max_size=2))
def test_what_a_plan_makes_of_one_project_is_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    """After each change is done as it is told, nothing is left to change, and nobody else's check has gone."""
    there, text = there_of(one), exported(there_of(other))
    wanted = read(text, name="f", now=NOW, env={})
    things = dict(there.sections["checks"])
    for change in plan_of(wanted, there, prune=True).changes:
        assert Verb.DELETE is not change.verb  # none carries a mark
        usual = there_of({change.key: {}}).sections["checks"][change.key].settings
        before = change.thing.settings if change.thing else usual
        after = {**before, **{field.name: field.after for field in change.fields}}
        things[change.key] = Thing(id=change.key, raw={}, settings=after)
    done = There(sections={"channels": {}, "checks": things})

    assert [] == plan_of(wanted, done, prune=True).changes
    assert set(one) <= set(things)
