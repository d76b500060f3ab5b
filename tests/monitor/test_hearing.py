"""How well a node hears follows from the settings; several nodes say four times as often that they do."""

from __future__ import annotations

from heartfly.config import Settings
from heartfly.config.disk import Spool
from heartfly.config.settings import Monitor
from heartfly.monitor.blind import Hearing
from tests.monitor.tower import MINUTE, SECOND


def test_it_is_as_the_settings_say() -> None:
    settings = Settings(monitor=Monitor(beat_s=2, blind_after_s=5, hold_s=3), spool=Spool(wait_s=60))

    one, several = (Hearing.of(settings, on_postgres=many) for many in (False, True))

    assert (2 * SECOND, 5 * SECOND, 3 * SECOND, MINUTE) == (one.beat, one.blind_after, one.hold, one.spool_wait)
    assert 4 * several.beat == one.beat
    assert Hearing() == Hearing.of(Settings(), on_postgres=False)
