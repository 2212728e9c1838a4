"""Thin effects, one module for each outside system."""
