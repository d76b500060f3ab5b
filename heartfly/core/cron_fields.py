"""One field of a cron expression: lists of numbers, names, ranges and steps.

Accepts what Debian's cron, robfig/cron and cronsim all read in the same way, and refuses the rest with
the reason: backward ranges, `N-N/S`, steps from a single weekday. What the fields mean together is in cron.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from heartfly.errors import InvalidValueError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_ITEM = re.compile(r"(\*|[0-9]{1,4}|[A-Z]{3})(?:-([0-9]{1,4}|[A-Z]{3}))?(?:/([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)

    def refuse(self, why: str) -> NoReturn:
        raise InvalidValueError("schedule.expression", f"{self.name}: {why}")

    def number(self, text: str) -> int:
        value = self.names.get(text, -1) if text.isalpha() else int(text)
        if not self.low <= value <= self.high:
            self.refuse(f"{text!r} is not between {self.low} and {self.high}")
        return value

    def values(self, item: str) -> range:
        """Read one item of the list: `*`, `5`, `1-5`, and these with a step."""
        match = _ITEM.fullmatch(item)
        if match is None or (match[1] == "*" and match[2]):
            hint = "; write * instead of ?" if "?" in item else ""
            self.refuse(f"cannot read {item!r}{hint}")
        first, last, step = match[1], match[2], int(match[3] or 1)
        if step == 0:
            self.refuse("a step of 0 never moves on")
        if first == "*":
            return range(self.low, self.high + 1, step)
        low = self.number(first)
        if not last:
            if match[3] and self.name == "day-of-week":
                self.refuse(f"schedulers read {item!r} differently; write the days as a list")
            return range(low, (self.high if match[3] else low) + 1, step)
        high = self.number(last)
        if low > high:
            self.refuse(f"the range {first}-{last} runs backwards; write it as two parts, joined by a comma")
        if low == high and match[3]:
            self.refuse(f"schedulers read {item!r} differently; write {first}")
        return range(low, high + 1, step)

    def union(self, text: str) -> set[int]:
        return {value for item in text.split(",") for value in self.values(item)}

    def plain(self, text: str) -> str:
        """Return the list in its plainest form, for words: ranges stay, but no range or step of one value."""
        listed, items = self.listed(self.union(text)), text.split(",")
        if listed == "*" or ("*" in text and len(items) > 1):
            return listed
        return ",".join(str(values[0]) if len(values := self.values(item)) == 1 else item for item in items)

    def listed(self, values: set[int]) -> str:
        everything = values.issuperset(range(self.low, self.high + 1))
        return "*" if everything else ",".join(str(value) for value in sorted(values))


MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY_OF_MONTH = Field("day-of-month", 1, 31)
MONTH = Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)})
DAY_OF_WEEK = Field("day-of-week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)})
KUBERNETES_DAY_OF_WEEK = Field("day-of-week", 0, 6, DAY_OF_WEEK.names)
WEEK = Field("day-of-week", 0, 6)
