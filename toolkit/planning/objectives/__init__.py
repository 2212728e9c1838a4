"""The promises of models, and whether they keep them: requests that count as good, budgets and their spending."""
