"""Hosts in memory whose ledgers of use lie on the disk, and replicas that write into them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tests.hostside.router_lab import REPO
from tests.hostside.use_lab import Replica
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.use import chunk_from_json
from toolkit.domain.clients.use import LedgerPlace, UseChunk
from toolkit.domain.hosts.fleet import Host

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import use_carry
import use_hand_out


class LedgerHost(FakeHost):
    """A host in memory with a ledger on the disk, which hands out small parts."""

    def __init__(self, name: str, root: Path, most: int = 3000) -> None:
        super().__init__(Host(name))
        self.root, self.most, self.asked, self.older = root, most, 0, False

    def use(self, place: LedgerPlace, last: Mapping[str, int] | None = None) -> UseChunk:
        self.before("use")
        self.asked += 1
        asked = {**asdict(place), **({} if last is None or self.older else {"last": {**last}})}
        found = use_hand_out.hand_out(str(self.root), asked, self.most)
        return chunk_from_json(self.name, json.loads(json.dumps(found)))


def requests(history: History) -> int:
    return sum(each.requests for each in history.use(by=()))


def wrote(root: Path, count: int, program: str = "tiny-blue", run: str = "a" * 16) -> Replica:
    """Write records of a run, count them with the engine's counters, and carry them into the ledger."""
    replica = Replica(root, program, run)
    for _ in range(count):
        replica.record()
    replica.count(10 * count, 3 * count)
    carry(root, program)
    return replica


def carry(root: Path, program: str = "tiny-blue") -> None:
    use_carry.Carrier(str(root)).all(program)
