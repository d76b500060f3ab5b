"""Lines of access logs: which request each tells of, and which event that is.

A file a family of formats; each reads a line into a `Request`, or says why it cannot. Nothing here raises for a line,
whatever is in it, and what a line does not say is None: never 0, and no guess.
"""
