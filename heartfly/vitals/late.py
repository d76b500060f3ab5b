"""Whether silence is judged late, which people are told on every page: what looks well may not be.

Said sooner than that traffic should go elsewhere, which is readiness.py's to say: a page costs nobody anything.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from heartfly.vitals.readiness import Facts

LATE = timedelta(seconds=10)


def judged_until(facts: Facts) -> datetime | None:
    """The instant up to which silence is judged, if that is more than LATE ago. None: in time, or not known yet.

    It is the watermark, or a deadline before it that nobody has judged: so each node sees, too, that the one that
    leads hears and does not judge.
    """
    if facts.watermark is None:
        return None
    through = facts.watermark if facts.due is None else min(facts.watermark, facts.due)
    return through if facts.now - through > LATE else None
