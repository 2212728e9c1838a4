"""Observe, decide, confirm, act, record: where decisions meet effects."""
