"""Cronitor's API of monitors, as its own clients call it. README.md says what of it, and what is done otherwise."""
