"""The files about costs, as people write them: prices, capacities, currencies, readings of meters."""
