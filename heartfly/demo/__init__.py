"""A Heartfly that looks as if a company had used it for three months: for people who try it, and for tests.

Nothing here is read by the rest of Heartfly. What each ping and each silence made of a check was judged by
core/check.py, as anywhere; the rows are written in bulk, so that a demo is there in seconds.
"""
