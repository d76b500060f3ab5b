"""The ground that every room's transactions stand on: engines, types, tables, the group commit.

No rule about checks, pings or alerts is decided here.
"""
