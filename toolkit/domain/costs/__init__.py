"""The costs of serving: prices, capacities, energy."""
