"""Signals of jobs in the words of other services, told to the ping door in ours. README.md says which, and how."""
