"""Old events in files. `row.py` says what a row is, `files.py` writes and reads files of them; `pages.py` takes a day
out of the database, `let_go.py` removes it there, `restore.py` puts it back; `erasures.py` takes customers who were
erased out of files, and `queries.py` tells what there is.
"""
