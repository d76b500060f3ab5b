"""A package of its own, as a distribution that tests need brings one of the same name."""
