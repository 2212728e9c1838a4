"""What a command opens: fleet, hosts, history, store, schedule, and the trail of what it changes."""
