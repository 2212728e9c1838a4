"""Trees of random bytes, the reports of their transfer, and their files on a host."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from tests.fleet.machine import Machine
from tests.pace import paced
from toolkit.adapters.distribution.port import Distribution, Progress, Tree
from toolkit.adapters.interruption import Interruption
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.hosts.fleet import Host


def make_tree(source: Path, name: str, sizes: Mapping[str, int], kind: str = "snapshots") -> Tree:
    """Write files whose bytes depend on path and size alone; return them as a tree."""
    files = []
    for path, size in sizes.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        data = random.Random(f"{path} {size}").randbytes(size)
        (source / path).write_bytes(data)
        files.append(FileDigest(path, size, hashlib.sha256(data).hexdigest()))
    return Tree(kind, name, str(source), tuple(files))


@dataclass
class Heard:
    """The progress that a distribution reported for each host: the first, the highest and the last."""

    first: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    guard: Lock = field(default_factory=Lock)

    def __call__(self, progress: Progress) -> None:
        with self.guard:
            self.done[progress.host] = progress.done
            if progress.done:
                self.first.setdefault(progress.host, progress.done)
            self.most[progress.host] = max(progress.done, self.most.get(progress.host, 0))
            self.total[progress.host] = progress.total
            if progress.words:
                self.words.append(f"{progress.host}: {progress.words}")


def listing(machine: Machine, path: str) -> list[str]:
    """Return the names in a directory of a host."""
    return machine.run("ls", "-A", path, check=False).split()


def digests(machine: Machine, path: str) -> dict[str, str]:
    """Return path -> sha256 of the files under a directory of a host."""
    command = f"cd '{path}' && find . -type f -exec sha256sum {{}} +"
    pairs = (line.split(maxsplit=1) for line in machine.run("sh", "-c", command).splitlines())
    return {path.removeprefix("./"): digest for digest, path in pairs}


def is_interrupted(
    distribution: Distribution, interruption: Interruption, tree: Tree, hosts: Sequence[Host]
) -> None:
    """Check the contract: an interruption ends the transfers to all `hosts` at once."""

    def give_up(progress: Progress) -> None:
        assert not progress.words
        if progress.done:
            began.append(pace())
            interruption.begin()

    began: list[float] = []
    with paced() as pace:
        wrong = distribution.spread(tree, hosts, give_up)
        assert pace() - began[0] < 5
    assert [bool(wrong[host.name]) for host in hosts] == [True] * len(hosts)
    interruption.over()


def spreads_once(distribution: Distribution, tree: Tree, hosts: Sequence[Host]) -> list[str]:
    """Check the contract: a tree reaches the hosts that lack it, and a tree that a host has stays unchanged.

    Returns what it had to say.
    """
    names = [host.name for host in hosts]
    heard = Heard()
    assert distribution.spread(tree, hosts, heard) == dict.fromkeys(names, "")
    assert heard.total == heard.done == dict.fromkeys(names, tree.size)
    again = Heard()
    assert distribution.spread(tree, hosts, again) == dict.fromkeys(names, "")
    assert again.total == {}
    return heard.words
