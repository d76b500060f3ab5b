"""Heartfly's own periodic work: which jobs there are, when they run, and what each run told its check."""
