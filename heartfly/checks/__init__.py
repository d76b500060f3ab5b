"""Checks: what is stored of them, the commands that people give, and the flips that follow."""
