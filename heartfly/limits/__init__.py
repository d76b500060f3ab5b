"""Limits of calls to other people's APIs: their rules, checks with reservation, and how each stands."""
