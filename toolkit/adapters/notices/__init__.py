"""Messages about outcomes: webhooks, mail, Apprise, the outbox, and hooks."""
