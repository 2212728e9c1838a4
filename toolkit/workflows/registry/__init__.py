"""Write and check the registry."""
