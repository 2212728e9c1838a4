"""Engines: their locked packages, the memory that they take, what they compile."""
