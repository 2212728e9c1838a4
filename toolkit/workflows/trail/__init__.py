"""What is recorded and told of a changing command: intent, outcome, notifications, hooks."""
