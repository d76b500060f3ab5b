"""Measurements against the real server on loopback: `python -m bench`, described in docs/performance.md.

Ratios to a bare prototype in the same run are what counts; absolute figures belong to a machine and a day.
"""
