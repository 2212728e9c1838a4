"""Act within the windows of a schedule, with nobody present."""
