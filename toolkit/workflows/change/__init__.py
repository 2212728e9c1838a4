"""Change what serves: deploy, upgrade, rollback, stop."""
