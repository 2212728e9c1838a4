"""The graphs that an engine has compiled for one kind of replica, as a tree of files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolkit.domain.files.snapshot import FileDigest, digest_of_files, path_fault

# Bounds on a tree that a host hands out; the program on hosts has the same.
MOST_BYTES, MOST_FILES = 4 * 2**30, 20_000
_NAME = re.compile(r"([0-9a-f]{16}\.[0-9a-f]{16})\.[0-9a-f]{64}\Z")
_KIND = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{16}\Z")


def is_name_of(kind: str, name: str) -> bool:
    """Whether `kind` is one of compiled trees, and `name` that of such a tree, or empty."""
    found = _NAME.match(name)
    return bool(_KIND.match(kind)) and (found[1] == kind if found else not name)


@dataclass(frozen=True, slots=True)
class CompiledTree:
    """A tree called WHAT.WHERE.DIGEST: for which replicas, on which machines, and the digest of its files.

    `toolkit/hostside/compiled.py` says what the first two are made of.
    """

    name: str
    files: tuple[FileDigest, ...]

    @property
    def kind(self) -> str:
        """WHAT.WHERE, which replicas that can use the tree have in common."""
        return self.name.rpartition(".")[0]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def fault(self) -> str:
        """Return in words why the name does not stand for these files, or they are no tree; empty where all is well."""
        if not _NAME.match(self.name):
            return "that is no name of a compiled tree"
        if len(self.files) > MOST_FILES or self.size > MOST_BYTES:
            return "it is larger than what is kept"
        path, words = path_fault([file.path for file in self.files])
        if path:
            return f"{path}: {words}"
        if digest_of_files(self.files) != self.name.rpartition(".")[2]:
            return "its files do not have the digest that it is named by"
        return ""
