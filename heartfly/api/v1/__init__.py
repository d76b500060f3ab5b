"""The native API: a file for each kind of thing, all of their handlers listed in native.py."""
