"""What models promise, and whether they keep it: what counts as good, the budget, what spent it."""
