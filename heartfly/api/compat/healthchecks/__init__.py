"""The management API of Healthchecks, versions 1 to 3, its badges and its metrics, for clients that know only that.

What is done otherwise on purpose stands in README.md, each with its test. Pings are api/ping.py's.
"""
