"""Limits of calls to other people's APIs: whom one holds for, how much it lets through, and when there is room again.

Whose calls these are and where counters are kept is not known here.
"""
