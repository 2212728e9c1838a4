"""Engines as locked sets of Python packages."""
