"""Benchmarks of `lm-eval`, which runs in an environment of its own."""
