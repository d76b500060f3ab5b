"""Budgets of what calls to other people's APIs cost: agreed here, looked at, and told of."""
