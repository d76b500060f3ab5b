"""Pings: from the signal at the door to the committed row, the run and the flip."""
