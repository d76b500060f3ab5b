"""People, projects and keys: who may do what."""
