"""What serving costs: prices, capacities, energy."""
