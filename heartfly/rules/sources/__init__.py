"""The sources of figures that alert rules know. A new one is a file beside this, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from heartfly.core.alert_rules import Family
from heartfly.rules.sources.base import Source
from heartfly.rules.sources.budgets import Budgets
from heartfly.rules.sources.calls import Calls
from heartfly.rules.sources.dead_letters import DeadLetters
from heartfly.rules.sources.limits import Limits
from heartfly.rules.sources.meters import Meters
from heartfly.rules.sources.requests import Requests

SOURCES: Mapping[Family, Source] = {
    source.of: source for source in (Calls(), Requests(), Meters(), Limits(), Budgets(), DeadLetters())
}
