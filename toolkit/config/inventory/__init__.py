"""Inventories become a fleet: which variables hosts have, and what their values must be."""
