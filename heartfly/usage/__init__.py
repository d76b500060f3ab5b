"""Usage: events in, once and only once; what they add up to, exactly."""
