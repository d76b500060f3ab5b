"""A check that wants no silence excused: time in which Heartfly could not hear changes nothing of what is due."""

from __future__ import annotations
