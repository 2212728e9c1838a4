"""Every error the toolkit raises on purpose, in one tree.

    ToolkitError                        exit 1   the operation failed; what served still serves
    ├── UndoneError                     exit 1   the history's database undid this for another command
    ├── InputError                      exit 2   what the user gave is wrong; nothing was changed
    ├── RefusedError                    exit 3   policy, plan or an answer of "no" stopped it; nothing was changed
    │   └── NothingSuitableError        exit 3   no host has what the version needs
    ├── BusyError                       exit 4   another deployment holds the fleet
    ├── SourceError                     exit 5   the Hub, a mirror or a directory did not give what was asked
    ├── IntegrityError                  exit 6   bytes differ from what was pinned
    ├── HostError                       exit 7   a host could not be reached, observed or converged
    │   └── WithdrawnError              exit 7   routes would give traffic to a release that a guard has withdrawn
    ├── ReleaseFailedError              exit 8   the new release did not pass; the former one serves
    ├── CalledOffError                  exit 8   a host's change was called off, because another host failed
    ├── UnattendedError                 exit 10  a scheduled run met something that needs a person; nothing was changed
    ├── OutdatedError                   exit 9   a model or an engine is not what its source holds now
    └── InterruptionError               exit 130 Ctrl-C or SIGTERM; what served before serves

Each error says what happened (`message`), what to type next (`hint`) and how the process ends (`exit_code`).
They are printed in one place, `toolkit.cli.main`. `joined` in `toolkit.domain.hosts.failures` makes one error of the
failures of several hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ToolkitError(Exception):
    """An expected failure: `message` for people, `hint` with the next command to type.

    `hosts` has the error of each host, by name, where the error stands for failures of hosts. `document` has what the
    command found before it failed; `--json` prints it beside the error.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.hosts: Mapping[str, ToolkitError] = {}
        self.document: Mapping[str, Any] = {}

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints of the error, without its `hosts` and its `document`."""
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class UndoneError(ToolkitError):
    """The history's database undid a transaction in favour of another command's: nothing of it was stored."""

    kind = "undone"


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
    """Another deployment holds the lock; the message names its owner, start and command."""

    exit_code = 4
    kind = "busy"


class SourceError(ToolkitError):
    """A source of files (Hub, mirror, directory) did not give what was asked."""

    exit_code = 5
    kind = "source"
    # Whether the source answers, and says that it has no such repository, revision or file.
    missing = False
    # Whether the repository is there, and the revision or the file of the request is not.
    gone = False
    # Whether the source gives the repository to other accounts alone.
    closed = False


class IntegrityError(ToolkitError):
    """A file's bytes differ from the digest that was pinned."""

    exit_code = 6
    kind = "integrity"


class HostError(ToolkitError):
    """A host could not be reached, observed or converged."""

    exit_code = 7
    kind = "host"


class WithdrawnError(HostError):
    """The guard of a host has withdrawn a release, and the routes that the host is told do not know of it."""


class ReleaseFailedError(ToolkitError):
    """The new release did not pass its gate or its bake; the former one serves."""

    exit_code = 8
    kind = "release-failed"


class CalledOffError(ToolkitError):
    """A host's change was called off because another host failed: a consequence, never a cause."""

    exit_code = 8
    kind = "called-off"


class OutdatedError(ToolkitError):
    """A model or an engine is not what its source holds now: an answer to a question, not a failure."""

    exit_code = 9
    kind = "outdated"


class UnattendedError(ToolkitError):
    """A scheduled run met something that needs a person; it changed nothing on any host."""

    exit_code = 10
    kind = "unattended"


class InterruptionError(ToolkitError):
    """A person or a supervisor ended the command; the change under way is undone."""

    exit_code = 130
    kind = "interrupted"
