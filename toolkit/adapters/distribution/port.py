"""Bring a tree of files (a snapshot, an engine's wheels) from this machine to the hosts of a fleet.

`over_ssh.SshDistribution` implements `Distribution`; `fakes.distribution.FakeDistribution` is its fake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host


@dataclass(frozen=True, slots=True)
class Tree:
    """`files` of the directory `source`, for `<root>/<kind>/<name>` on hosts; `kind` is `snapshots` or `wheelhouse`."""

    kind: str
    name: str
    source: str
    files: tuple[FileDigest, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes that `host` lacked; `words` is a message for the user, mostly empty."""

    host: str
    done: int = 0
    total: int = 0
    words: str = ""


Report = Callable[[Progress], None]


class Distribution(Protocol):
    """A way to bring trees to hosts."""

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        """Bring `tree` to all `hosts` at once; return for each host's name why that failed, empty if it did not.

        `report` is called from several threads. A failed host stops no other. An interruption ends all unfinished
        transfers, and the next call resumes them.
        """
