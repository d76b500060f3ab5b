"""Rules over what is used of budgets: each budget a scope, one by its name, none that is paused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from heartfly.core.budgets import Turn
from heartfly.errors import InvalidValueError
from heartfly.rules.sources import SOURCES
from tests.budgets.treasury import Treasury
from tests.rules.neighbourhood import TEN, Neighbourhood

pytestmark = pytest.mark.anyio

USE = {"of": "budgets", "metric": "use", "window": 3600, "threshold": "80", "op": ">="}
MINUTE = timedelta(minutes=1)


async def treasury(there: Neighbourhood) -> Treasury:
    there.move(TEN)
    return Treasury(there.story.world, there.usage, there.story.clock)


async def test_each_budget_that_is_used_so_far_is_told_by_its_name_and_ends_with_a_raise(there: Neighbourhood) -> None:
    money = await treasury(there)
    models = await money.budget(name="Models", amount="10", thresholds=[])
    maps = await money.budget(name="Maps", amount="100", thresholds=[])
    await there.rule(USE, name="nearly spent", by=["budget"])
    await there.rule(USE | {"name": "Maps"}, name="of maps")
    await money.call("8")
    await money.fold()
    for budget in (models, maps):
        await money.look(budget)

    first = await there.look(TEN + 2 * MINUTE)
    await money.edit(models, amount="20")
    await money.look(models)
    then = await there.look(TEN + 3 * MINUTE)

    assert ["rule.firing nearly spent (budget Models)"] == [one for one in first if "spent" in one or "maps" in one]
    assert ["rule.resolved nearly spent (budget Models)"] == [one for one in then if "spent" in one or "maps" in one]


async def test_a_budget_that_is_paused_is_no_scope(there: Neighbourhood) -> None:
    money = await treasury(there)
    models = await money.budget(name="Models", amount="10", thresholds=[])
    await there.rule(USE, name="nearly spent", by=["budget"])
    await money.call("9")
    await money.fold()
    await money.look(models)
    await money.turn(models, Turn.PAUSE)

    assert [] == [one for one in await there.look(TEN + 2 * MINUTE) if "spent" in one]


async def test_what_is_no_longer_counted_ends_its_alert(there: Neighbourhood) -> None:
    """As a budget that is paused, or a limit whose hour has run out."""
    money = await treasury(there)
    models = await money.budget(name="Models", amount="10", thresholds=[])
    await there.rule(USE, name="nearly spent", by=["budget"])
    await money.call("9")
    await money.fold()
    await money.look(models)
    first = await there.look(TEN + 2 * MINUTE)
    await money.turn(models, Turn.PAUSE)

    then = await there.look(TEN + 3 * MINUTE)

    assert ["rule.firing nearly spent (budget Models)"] == [one for one in first if "spent" in one]
    assert 1 == sum(one.startswith("rule.resolved nearly spent") for one in then)


async def test_a_rule_of_a_budget_that_is_not_there_says_so_and_holds_up_no_other(there: Neighbourhood) -> None:
    money = await treasury(there)
    models = await money.budget(name="Models", amount="10", thresholds=[])
    maps = await money.budget(name="Maps", amount="10", thresholds=[])
    await there.rule(USE | {"name": "Maps"}, name="of maps")
    await there.rule(USE | {"name": "Models"}, name="nearly spent")
    await money.edit(maps, name="Places")
    await money.call("9")
    await money.fold()
    await money.look(models)

    told = await there.look(TEN + 2 * MINUTE)
    trouble = {row.name: row.trouble for row in await there.rules() if row.origin == "own"}

    assert {"of maps": "what it looks at is gone: budgets Maps", "nearly spent": ""} == trouble
    assert "rule.firing nearly spent" in told


async def test_a_rule_over_a_budget_that_nobody_knows_is_refused_with_the_field(there: Neighbourhood) -> None:
    money = await treasury(there)
    await money.budget(name="Models")

    with pytest.raises(InvalidValueError, match="there is no budget 'Modles'") as refused:
        await there.rule(USE, USE | {"name": "Modles"})

    assert "conditions[1].name" == refused.value.field


async def test_of_a_budget_whose_rhythm_was_changed_the_present_period_counts_once(there: Neighbourhood) -> None:
    money = await treasury(there)
    models = await money.budget(name="Models", amount="10", thresholds=[])
    await there.rule(USE | {"threshold": "30"}, name="a third is spent")
    await money.call("4")
    await money.fold()
    await money.look(models)  # of the month 40 %
    await money.edit(models, period="quarterly", amount="20")
    await money.look(models)  # and of the quarter 20 %

    assert [] == [one for one in await there.look(TEN + 2 * MINUTE) if "third" in one]


def test_every_family_has_a_source() -> None:
    assert {source.of for source in SOURCES.values()} == set(SOURCES)
    assert "budgets" in {family.value for family in SOURCES}
