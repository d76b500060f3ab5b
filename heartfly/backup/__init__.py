"""Backups of SQLite: taken while a server serves, and put back so that nobody is alarmed or told twice.

take.py makes one, archive.py is its file, put_back.py restores it, marks.py writes into the database what follows from
a restore. Of PostgreSQL its own tools make backups; after those the marks are written, too.
"""
