"""Whole APIs of others, a folder each: with a README of paths, keys, and what is done otherwise on purpose.

They decode, call what the native API calls, and encode. Foreign words stay in here.
"""
