"""Playbooks: converge a host."""
