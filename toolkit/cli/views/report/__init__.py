"""A report of a fleet as one HTML page: no script, nothing from elsewhere."""
