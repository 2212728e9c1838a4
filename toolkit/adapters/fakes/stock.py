"""The stock of a host in memory: snapshots, engines, compiled trees, parts of changes that were cut short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from toolkit.adapters.fakes.routing import Routed
from toolkit.adapters.hosts.client import Report
from toolkit.adapters.hosts.held import lock_lost
from toolkit.adapters.hosts.port import CheckedEngine, FoundCompiled, KeptCompiled, RemovedLeftovers
from toolkit.domain.files.snapshot import FileDigest, digest_of_files
from toolkit.domain.hosts.leftover import Leftover
from toolkit.errors import HostError

# The graph that every engine compiles.
COMPILED_BYTES = b"graph"
COMPILED = FileDigest("graph", 5, sha256(COMPILED_BYTES).hexdigest())


@dataclass
class Stocked(Routed):
    """The stock of one host.

    `sealed` has the engines whose digests are kept, `beside` those that were installed beside the present ones, `left`
    what was cut short, `compiled` the trees of what engines have compiled for its `machine`.
    """

    sealed: set[str] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)
    left: list[Leftover] = field(default_factory=list)
    compiled: set[str] = field(default_factory=set)
    machine: str = "cpu"

    def place(self, source: str, digest: str, files: Sequence[str], report: Report) -> None:
        self.happens(f"place {digest[:8]}")
        self.learn(lambda facts: replace(facts, snapshots=(*facts.snapshots, digest)))

    def hash_files(self, digest: str, report: Report) -> dict[str, dict[str, Any]]:
        return {}

    def check_snapshot(self, digest: str, report: Report) -> tuple[str, ...]:
        return self.damaged.get(digest, ())

    def keep_compiled(self, program: str) -> KeptCompiled:
        self.before("keep compiled")
        slot = self._slot(program)
        if slot.release is None or self._routed(slot).weight:
            return KeptCompiled("", why="it has taken requests of clients")
        kind = f"{hash_of(slot.release.engine)}.{hash_of(self.machine)}"
        name = f"{kind}.{digest_of_files([COMPILED])}"
        new, self.compiled = name not in self.compiled, {*self.compiled, name}
        return KeptCompiled(name, 1 if new else 0)

    def find_compiled(self, compiles: Mapping[str, Any], snapshot: str) -> FoundCompiled:
        kind = f"{hash_of(compiles['engine'])}.{hash_of(self.machine)}"
        return FoundCompiled(kind, next((n for n in self.compiled if n.startswith(kind)), ""))

    def hand_out_compiled(self, name: str) -> tuple[tuple[FileDigest, ...], Iterator[bytes]]:
        self.events.append(f"hand out {name[:8]}")
        return (COMPILED,), iter((COMPILED_BYTES[:2], COMPILED_BYTES[2:]))

    def place_compiled(self, source: str, name: str, files: Sequence[str]) -> None:
        self.compiled.add(name)

    def seal_engine(self, engine: str, report: Report) -> None:
        self.sealed.add(engine)

    def check_engine(self, engine: str, report: Report) -> CheckedEngine:
        return CheckedEngine(engine in self.sealed, 0, 0, self.damaged.get(engine, ()))

    def swap_engine(self, engine: str, report: Report) -> None:
        self.happens(f"swap engine {engine}")
        if engine not in self.beside:
            raise HostError(f"{self.name}: no engine that could replace {engine} was installed")
        self.beside.discard(engine)
        self.damaged.pop(engine, None)
        self.sealed.add(engine)
        self.learn(lambda facts: replace(facts, engines=(*without(facts.engines, engine), engine)))

    def remove(self, kind: str, name: str) -> int:
        self.happens(f"remove {kind} {name[:8]}")
        if kind == "engines":
            self.learn(lambda facts: replace(facts, engines=without(facts.engines, name)))
        else:
            self.learn(lambda facts: replace(facts, snapshots=without(facts.snapshots, name)))
        return 1

    def renew_program(self, damaged: Sequence[str]) -> None:
        self.happens("renew program")
        self.learn(
            lambda facts: replace(
                facts,
                changed_files=tuple(
                    each for each in facts.changed_files if not each.startswith("bin/hostside-")
                ),
            )
        )

    def leftovers(self) -> tuple[Leftover, ...]:
        self.before("leftovers")
        return tuple(self.left)

    def remove_leftovers(self, paths: Sequence[str]) -> RemovedLeftovers:
        if self.holder is None or self.owner is not self.holder:
            raise lock_lost()
        self.happens(f"remove {len(paths)} leftovers")
        named = [each for each in self.left if each.path in paths]
        gone = [each for each in named if not each.busy]
        self.left = [each for each in self.left if each not in gone]
        kept = {each.path: each.busy for each in named if each.busy}
        return RemovedLeftovers(sum(each.size for each in gone), kept)


def without(names: Sequence[str], name: str) -> tuple[str, ...]:
    """Return `names` but for `name`."""
    return tuple(each for each in names if each != name)


def hash_of(text: str) -> str:
    """Return the part of a compiled tree's name that stands for `text`."""
    return sha256(text.encode()).hexdigest()[:16]
