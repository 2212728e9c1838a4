"""The record of a changing command, and the messages about it: intent, outcome, notifications, hooks."""
