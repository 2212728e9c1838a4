"""The end of a command that only shows its plan: apart from plans, since each start of the command line loads it."""

from __future__ import annotations


class DryRun(Exception):
    """Ends a command after its plan was shown."""
