"""Collect documents that prove to others which model is served, and its origin."""
