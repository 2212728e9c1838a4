"""What a report of a fleet says, from the records of its history."""
