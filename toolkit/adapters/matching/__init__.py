"""Match texts with patterns and schemas, in a process of its own."""
