"""Text to domain: every file a user writes is read and validated here."""
