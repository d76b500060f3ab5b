"""Requests that a project's API served: how many, how well, to whom. Questions only; what is counted, usage says."""
