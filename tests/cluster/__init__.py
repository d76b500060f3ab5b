"""Several nodes on one PostgreSQL, in virtual time: whatever a seed lets happen to them, nothing is told twice."""
