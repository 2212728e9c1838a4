"""The ways to start processes on a host as root: here or over SSH, with sudo where needed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.adapters.hosts.become import as_root_words, sudo_input
from toolkit.adapters.hosts.ssh import (
    HOSTSIDE,
    hostside_path,
    place_hostside,
    renew_hostside,
    root_command,
)
from toolkit.adapters.hosts.ssh_faults import host_error
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

Sleep = Callable[[float], None]
# The hint where the host's side does not run.
REPAIR = "toolkit repair"
# To ask first whether the host's side is there would take as long as a request.
NO_HOSTSIDE = 86
# Brief commands need the standard library alone, and to look for other packages takes a tenth of such a start.
ALONE = ("-I", "-S")
_SERVE = f'[ -d "$2" ] || exit {NO_HOSTSIDE}; exec "$1" {" ".join(ALONE)} "$2/__main__.py" serve'


@dataclass(frozen=True, slots=True)
class Here:
    """The ops machine itself as a host. `hostside` is the directory of the host's side of the toolkit."""

    host: Host
    hostside: str = str(HOSTSIDE)

    def place(self, _sleep: Sleep) -> None:
        """Do nothing: the host's side is a part of the package."""

    def renew(self, damaged: Sequence[str], _sleep: Sleep) -> None:
        """Remove the `damaged` copies that ops machines elsewhere have placed here, by name; raises HostError."""
        places = [f"{self.host.root}/bin/{name}" for name in damaged]
        argv = self.command(["rm", "-rf", *places])
        done = subprocess.run(argv, input=self.first, capture_output=True, check=False)
        if done.returncode:
            raise self.failure(done.returncode, done.stderr.decode(errors="replace"))

    @property
    def first(self) -> bytes:
        """The bytes that each command gets first on its standard input."""
        return sudo_input(self.host)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` as root."""
        if self.host.become_password or os.geteuid() != 0:
            return as_root_words(self.host, argv)
        return list(argv)

    def serve(self) -> list[str]:
        """Return the command line that starts the process of a channel."""
        return self.command([self.host.python, *ALONE, f"{self.hostside}/__main__.py", "serve"])

    def failure(self, code: int, words: str) -> HostError:
        """Return the error for a process that ended with `code` and `words` on standard error."""
        said = words.strip().splitlines()
        hint = "be root, have passwordless sudo, or add --ask-become-pass; then: toolkit doctor"
        return HostError(f"{self.host.name}: {said[-1] if said else 'no answer'}", hint=hint)


@dataclass(frozen=True, slots=True)
class OverSsh:
    """A host over SSH. `scratch` holds the socket of the shared connection."""

    host: Host
    scratch: Path

    @property
    def hostside(self) -> str:
        """The directory on the host, whether the host's side lies there or not."""
        return hostside_path(self.host)

    def place(self, sleep: Sleep) -> None:
        """Put the host's side of the toolkit there, with pauses by `sleep`; raises HostError."""
        self._make_scratch()
        place_hostside(self.host, self.scratch, sleep)

    def renew(self, damaged: Sequence[str], sleep: Sleep) -> None:
        """Put the host's side of the toolkit there anew, and remove other `damaged` copies; raises HostError."""
        self._make_scratch()
        renew_hostside(self.host, self.scratch, damaged, sleep)

    @property
    def first(self) -> bytes:
        """The bytes that each command gets first on its standard input."""
        return sudo_input(self.host)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line of this machine that runs `argv` as root there."""
        self._make_scratch()
        return root_command(self.host, self.scratch, argv)

    def serve(self) -> list[str]:
        """Return the command line that starts the process of a channel, or ends with NO_HOSTSIDE."""
        return self.command(["sh", "-c", _SERVE, "sh", self.host.python, self.hostside])

    def failure(self, code: int, words: str) -> HostError:
        """Return the error for a process that ended with `code` and `words` on standard error."""
        # Python itself names the file that it could not run.
        if code in (1, 2) and any(
            f"{each}{self.hostside}/" in words for each in ('File "', "file '")
        ):
            said = words.strip().splitlines()[-1]
            return HostError(
                f"{self.host.name}: the toolkit's program there is damaged: {said}", hint=REPAIR
            )
        return host_error(self.host, words, code)

    def _make_scratch(self) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
