"""Whether a version fits on a host: weights, cache, reserve."""
