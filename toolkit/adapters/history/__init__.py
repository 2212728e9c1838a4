"""Releases and deployments, in SQLite or PostgreSQL."""
