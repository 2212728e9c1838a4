"""In-memory stand-ins for outside systems, held to the same contract tests as the real adapters."""
