"""Replicas: what they answer, how long they take to start, whether they sleep."""
