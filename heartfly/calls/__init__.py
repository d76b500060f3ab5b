"""Calls to other people's APIs: how many, how well, at what cost, whose. Questions only; usage says what counts."""
