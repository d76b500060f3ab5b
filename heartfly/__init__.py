"""Heartfly: tells you when a scheduled job goes silent, fails, hangs, or produces wrong data."""

__version__ = "0.1.0"
