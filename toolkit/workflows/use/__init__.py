"""Collect what hosts recorded of the use of their models."""
