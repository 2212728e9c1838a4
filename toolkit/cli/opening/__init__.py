"""The things that a command opens: fleet, hosts, history, store, schedule, and the trail of its changes."""
