"""Telling people: what an alert says, and how it is carried to each channel.

This room gets `Alert` values and knows nothing of how they were decided.
"""
