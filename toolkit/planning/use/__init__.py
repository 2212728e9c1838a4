"""Sums over use, and what the engines' own counters say to them."""
