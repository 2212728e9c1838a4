"""The content of a report of a fleet, from the records of its history."""
