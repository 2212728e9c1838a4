"""Hosts and the fleet: how they are set up, what was observed and measured on them, how they fail."""
