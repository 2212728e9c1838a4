"""Collect what proves to somebody else which model is served, and from where it came."""
