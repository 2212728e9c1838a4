"""The costs of serving, beside those of closed APIs."""
