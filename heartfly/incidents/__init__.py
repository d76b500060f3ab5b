"""Incidents: a down span of a check, from the flip down to the flip that ends it, and what people say about it."""
