"""What serving costs, as people write it: prices, capacities, currencies, readings of meters."""
