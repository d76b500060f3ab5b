"""A project as a file: `heartfly plan`, `apply` and `export`. A file says what it names, and nothing of the rest.

file.py reads it, settings.py says what of a thing it may set, there.py what is set, differ.py how the two differ, and
doing.py makes it so, by the API and nothing else.
"""
