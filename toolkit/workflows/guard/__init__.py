"""Run the gates of a guard against replicas."""
