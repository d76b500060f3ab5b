"""Clockwork: who judges, up to which instant, and what is made of silence."""
