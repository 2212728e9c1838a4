"""Look at the hosts of a fleet and care for them."""
