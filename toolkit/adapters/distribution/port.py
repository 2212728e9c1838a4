"""Bring a tree of files (a snapshot, an engine's wheels) from this machine to the hosts of a fleet.

`Distribution` is what workflows use; `distribution_ssh.SshDistribution` does it, `fakes.distribution` plays it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from toolkit.domain.fleet import Host
from toolkit.domain.snapshot import FileDigest


@dataclass(frozen=True, slots=True)
class Tree:
    """`files` of the directory `source`, bound for `<root>/<kind>/<name>`; `kind` is `snapshots` or `wheelhouse`."""

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
    """`done` of `total` bytes of what `host` lacked; `words` where there is something to say besides."""

    host: str
    done: int = 0
    total: int = 0
    words: str = ""


Report = Callable[[Progress], None]


class Distribution(Protocol):
    """A way to bring trees to hosts."""

    def spread(self, tree: Tree, hosts: Sequence[Host], report: Report) -> Mapping[str, str]:
        """Put `tree` in place on `hosts`, all at once; return for each host's name why it is not there, or nothing.

        `report` is called from several threads. A host that fails stops nobody else. An interruption ends it for all
        that have not got everything; what has come is used the next time.
        """
