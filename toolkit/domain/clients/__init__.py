"""Clients of the models: their keys, their requests, what they used, where an answer came from."""
