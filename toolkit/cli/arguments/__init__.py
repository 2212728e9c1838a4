"""The words that a person types after a command: options, numbers, times, addresses."""
