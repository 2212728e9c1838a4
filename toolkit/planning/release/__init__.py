"""From a version of the registry to exactly what runs."""
