"""All of them, in the order in which they are asked."""

from __future__ import annotations

from heartfly.api.compat.telemetry import alertmanager, cronhub, cronitor, kuma, opsgenie, sentry
from heartfly.api.compat.telemetry.signal import Room

ROOMS: tuple[Room, ...] = (
    alertmanager.ROOM,
    cronitor.ROOM,
    kuma.ROOM,
    sentry.ROOM,
    opsgenie.ROOM,
    cronhub.ROOM,
)


def room_of(path: str, query: bytes) -> Room | None:
    return next((room for room in ROOMS if room.takes(path, query)), None)
