"""The records and messages about a command: the audit log, notices, channels, and the secrets that neither has."""
