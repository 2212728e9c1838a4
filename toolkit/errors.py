"""Every error the toolkit raises on purpose, in one tree.

    ToolkitError                        exit 1   the operation failed; what served still serves
    ├── InputError                      exit 2   what the user gave is wrong; nothing was changed
    ├── RefusedError                    exit 3   policy, plan or an answer of "no" stopped it; nothing was changed
    │   └── NothingSuitableError        exit 3   no host has what the version needs
    ├── BusyError                       exit 4   another deployment holds the fleet
    ├── SourceError                     exit 5   the Hub, a mirror or a directory did not give what was asked
    ├── IntegrityError                  exit 6   bytes differ from what was pinned
    ├── HostError                       exit 7   a host could not be reached, observed or converged
    └── ReleaseFailedError              exit 8   the new release did not pass; the former one serves

Each error says what happened (`message`), what to type next (`hint`) and how the process ends (`exit_code`).
They are printed in one place, `toolkit.cli.main`.
"""

from __future__ import annotations

from typing import ClassVar


class ToolkitError(Exception):
    """An expected failure: `message` for people, `hint` with the next command to type."""

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(ToolkitError):
    """A file, option or name given by the user is wrong."""

    exit_code = 2
    kind = "bad-input"


class RefusedError(ToolkitError):
    """Policy, the plan or the person said no."""

    exit_code = 3
    kind = "refused"


class NothingSuitableError(RefusedError):
    """No host offers what the version needs."""

    kind = "does-not-fit"


class BusyError(ToolkitError):
    """Another deployment holds the lock; the message says who, since when and what."""

    exit_code = 4
    kind = "busy"


class SourceError(ToolkitError):
    """A source of files (Hub, mirror, directory) did not give what was asked."""

    exit_code = 5
    kind = "source"


class IntegrityError(ToolkitError):
    """A file's bytes differ from the digest that was pinned."""

    exit_code = 6
    kind = "integrity"


class HostError(ToolkitError):
    """A host could not be reached, observed or converged."""

    exit_code = 7
    kind = "host"


class ReleaseFailedError(ToolkitError):
    """The new release did not pass its gate or its bake; the former one serves."""

    exit_code = 8
    kind = "release-failed"
