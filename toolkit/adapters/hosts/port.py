"""The port through which workflows use a host, and the results that it returns.

`host.RealHost` speaks to the host's side of the toolkit (`toolkit/hostside`), and `fakes.host.FakeHost` is a host in
memory. Both pass the same contract tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

# For types alone: loading these modules for answers that a command never requests would delay a rollback.
if TYPE_CHECKING:
    from toolkit.adapters.hosts.client import Report
    from toolkit.domain.clients.evidence import Answered
    from toolkit.domain.clients.keys import HostKeys, KeyRing
    from toolkit.domain.clients.requests import RecordedUse, RequestPart
    from toolkit.domain.clients.use import LedgerPlace, LedgerSums, UseChunk
    from toolkit.domain.costs.energy import EnergyCount
    from toolkit.domain.deployment.release import OpenDeployment
    from toolkit.domain.files.snapshot import FileDigest
    from toolkit.domain.gates.guard import GuardOrder
    from toolkit.domain.gates.verdict import GateResult, GuardPhase
    from toolkit.domain.hosts.facts import HostFacts
    from toolkit.domain.hosts.fleet import Host
    from toolkit.domain.hosts.leftover import Leftover
    from toolkit.domain.hosts.load import HostSample
    from toolkit.domain.hosts.perimeter import Perimeter
    from toolkit.domain.replicas.answers import Answer, Call, Pair, PairsWanted, Vitals
    from toolkit.domain.replicas.probe import Completion, LockOwner, Waited
    from toolkit.domain.trail.audit import Head, KeptHead


@dataclass(frozen=True, slots=True)
class CheckedEngine:
    """The files of an engine on a host, their bytes, and what differs from its installation, in words.

    Where no digests of the installation are kept, it is not `sealed`.
    """

    sealed: bool
    files: int
    size: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeptCompiled:
    """The tree in which a host keeps what an engine has compiled, its new bytes, or in words why it keeps none."""

    name: str
    size: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class FoundCompiled:
    """A replica's graphs on a host: their kind (WHAT.WHERE), and the tree that is kept for it, or ""."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class RemovedLeftovers:
    """The bytes that the removal of leftovers freed, and the paths of those that stay, each with the reason."""

    freed: int
    kept: Mapping[str, str]


class Named(Protocol):
    """A host by its names."""

    host: Host

    @property
    def name(self) -> str:
        """The host's name in the fleet file, in messages and in the history."""
        return self.host.name

    @property
    def label(self) -> str:
        """The host's name in routes; empty where it is the only one."""
        return self.host.label


class HostPort(Named, Protocol):
    """One host. Every method raises HostError where the host does not answer."""

    def observe(self) -> HostFacts:
        """Return the present facts of the host."""

    def lock(self, owner: LockOwner) -> AbstractContextManager[None]:
        """Hold the host's deployment lock; raises BusyError naming the holder."""

    def require_lock(self) -> None:
        """Raise HostError where this command took the host's lock and has lost it by its own silence or its link's."""

    def hold_wakes(self, *, on: bool) -> None:
        """Have the host begin no wake, or let it again; where this command's lock ends, it may by itself.

        A wake that has begun shows in the next observation. Raises HostError where the lock is lost.
        """

    def keep_deployment(self, opened: OpenDeployment, head: Head | None = None) -> bool:
        """Keep a deployment on the host until it ends; return false where the host's disk takes nothing.

        The host keeps `head` too, that of the audit log which has the deployment.
        """

    def keep_head(self, head: Head) -> bool:
        """Keep the head of an audit log; return false where the host's disk takes nothing."""

    def audit_heads(self) -> tuple[KeptHead, ...]:
        """Return the heads of audit logs that the host has been given, those of a log in the order they came."""

    def answered(self, request: str) -> tuple[Answered, ...]:
        """Return the requests with this id in the router's access log, the newest first."""

    def read_requests(
        self, model: str, lines: int, place: Mapping[str, Any] | None = None
    ) -> RequestPart:
        """Return requests of `model` from the router's access log; an empty name selects all.

        Without `place` they are the last `lines`, at most 1,000; else those that were logged after it.
        """

    def find_use(self, ids: Sequence[str], since: float) -> tuple[RecordedUse, ...]:
        """Return the records of requests with these ids, at most 1,000, from the end of the host's ledger.

        `since` is in seconds since the epoch; what ended before is not looked for.
        """

    def use(self, place: LedgerPlace, last: Mapping[str, int] | None = None) -> UseChunk:
        """Return the records of the host's ledger of use from `place` on, at most a part of them.

        A place of another ledger is its beginning. With `last`, {"PROGRAM/RUN": number}, of each run what came after
        its number; a host of an older toolkit hands out all, and the chunk is not `after_last` then. Raises HostError.
        """

    def perimeter(self) -> Perimeter:
        """Return the host's listeners, and the addresses that its replicas reach when they try; takes up to 25 s."""

    def sums_of_use(self) -> tuple[LedgerSums, ...]:
        """Return the use of keys with quotas, by the host's own ledger and by others that it has read."""

    def tell_use(self, sums: Sequence[LedgerSums]) -> None:
        """Tell the host what keys have used by each ledger; of two sums the larger stays, and its own does.

        Its router refuses a key by its quotas on the sum over all ledgers.
        """

    def drop_deployment(self, rollout: str) -> None:
        """Forget the deployment of this rollout, which has ended."""

    def apply_routes(
        self, files: Mapping[str, str], edits: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Make the router follow `files`, all that follow from its routes, at once.

        `edits` make such a file out of the one that the host is believed to have, by name, and are sent in its place; a
        host that has another one gets the files whole. The host compares them with its router's present state, and
        sends commands or reloads it.
        """

    def keys(self) -> HostKeys:
        """Return the keys of the host's router; none where there is no router yet."""

    def apply_keys(self, ring: KeyRing) -> KeyRing:
        """Unite the host's keys with `ring` at once, in all workers of its router; return the union."""

    def repair_keys(self, ring: KeyRing) -> KeyRing:
        """Make damaged keys of the host anew from its router, and unite them with `ring`; return the union."""

    def wait_ready(self, program: str, port: int, timeout: float, report: Report) -> Waited:
        """Wait until the replica answers `/health`, dies, or `timeout` seconds pass."""

    def complete(self, port: int, payload: Mapping[str, Any], timeout: float) -> Completion:
        """Ask the replica for one chat completion, which may take `timeout` seconds."""

    def ask(self, port: int, path: str, payload: Mapping[str, Any], timeout: float) -> Answer:
        """Send the replica one request of any kind, marked as a probe; return the whole answer with its times.

        It may take `timeout` seconds.
        """

    def call_in_turn(
        self, port: int, calls: Sequence[Call], pause: float, timeout: float
    ) -> tuple[int, str]:
        """Send the replica all of `calls`, `pause` seconds from now, whatever becomes of this command.

        Return status and error of the first that failed and may not, else 200 and an empty text.
        """

    def pairs(self, wanted: PairsWanted, report: Report) -> tuple[Pair, ...]:
        """Ask the new and the serving replica in turn and return the times; reports `{"pair": number}`."""

    def vitals(self, program: str, port: int, log: str = "") -> Vitals:
        """Return how a replica does, with the lines of its log since `log`, the place that a former call returned."""

    def sample(self) -> HostSample:
        """Return the present counts of router and replicas."""

    def energy(self) -> EnergyCount:
        """Return the devices' own counts of their energy."""

    def watch(self, program: str, port: int, seconds: float, report: Report) -> Waited:
        """Watch a replica for `seconds`; ends early where it dies, stops answering or hangs."""

    def probe(self, program: str, port: int) -> Waited:
        """Ask a replica without traffic for one token. One that hangs is ended, and its host starts it again."""

    def doze(self, program: str, needs: int, timeout: float) -> Waited:
        """Let a replica without requests doze, within `timeout` seconds; its weights are `needs` bytes at most.

        It stays as it is where the host's memory is too small for them. One that does not fall asleep is ended.
        """

    def rouse(self, program: str, port: int, timeout: float) -> Waited:
        """Wake a replica that dozes and have it answer, within `timeout` seconds."""

    def guard_begin(self, order: GuardOrder) -> None:
        """Let the host's guard watch a release under traffic; this command must hold the host's lock.

        While a share stands, the guard gives the traffic back when the lock is released.
        """

    def guard_phase(
        self, model: str, phase: GuardPhase, seconds: float, requests: int = 0, share: int = 0
    ) -> None:
        """Let the guard of `model` go on with its next phase, of `seconds`, `requests` and a `share` of 10,000.

        Raises HostError where it has withdrawn its target.
        """

    def guard_follow(self, model: str, report: Report) -> GateResult:
        """Return the guard's verdict on the phase at hand, once there is one; report its figures each second."""

    def guard_wish(self, model: str, wish: str, actor: str) -> bool:
        """Tell the guard what `actor` wishes, `promote` or `abort`; return false where none watches any more."""

    def guard_end(self, model: str, rollout: str) -> None:
        """Forget the guard of this rollout and its verdict."""

    def repair_guards(self) -> tuple[str, ...]:
        """Write orders of guards that cannot be read anew, and forget those of which no copy is left.

        Return the paths of the forgotten ones, below the host's directory: no guard watches their releases any more.
        """

    def drain(self, model: str, slot: str, port: int, timeout: float, report: Report) -> Waited:
        """Wait until nothing runs on the slot any more, at most `timeout` seconds.

        A replica that hangs is ended, which is the `reason`, and its host starts it again.
        """

    def logs(
        self, program: str, lines: int, *, follow: bool, previous: bool = False
    ) -> Iterator[str]:
        """Yield the replica's last log lines, and with `follow` new ones while the caller listens.

        `previous` selects the log of the start before this one.
        """

    def place(self, source: str, digest: str, files: Sequence[str], report: Report) -> None:
        """Put the files of the host's directory `source` in place as the snapshot `digest`."""

    def hash_files(self, digest: str, report: Report) -> dict[str, dict[str, Any]]:
        """Return path -> {size, sha256} of a snapshot, computed from the host's disk now.

        A path with a wrong owner or wrong permissions has a `fault`, in words; a directory has nothing else.
        """

    def check_snapshot(self, digest: str, report: Report) -> tuple[str, ...]:
        """Return in words why a snapshot may not be served; hashes what may have changed since it was hashed last."""

    def keep_compiled(self, program: str) -> KeptCompiled:
        """Keep what a replica has compiled for later ones of its kind; it must have no requests of clients yet."""

    def find_compiled(self, compiles: Mapping[str, Any], snapshot: str) -> FoundCompiled:
        """Return the kind of what such a replica of a snapshot compiles here, and the tree that is kept for it."""

    def hand_out_compiled(self, name: str) -> tuple[tuple[FileDigest, ...], Iterator[bytes]]:
        """Return the files of a kept tree, and their bytes, one file after the other."""

    def place_compiled(self, source: str, name: str, files: Sequence[str]) -> None:
        """Copy a tree from the directory `source` of this machine to those that the host, the same machine, keeps."""

    def seal_engine(self, engine: str, report: Report) -> None:
        """Note the digests of an engine's files, right after its installation."""

    def check_engine(self, engine: str, report: Report) -> CheckedEngine:
        """Hash the files of an engine and compare them with those of its installation."""

    def swap_engine(self, engine: str, report: Report) -> None:
        """Put the engine that was installed beside the present one in its place, and note its digests."""

    def remove(self, kind: str, name: str) -> int:
        """Remove one of the `snapshots` or `engines`; return the bytes freed."""

    def renew_program(self, damaged: Sequence[str]) -> None:
        """Place the host's side of this toolkit anew, and remove other `damaged` copies of it, by their names."""

    def leftovers(self) -> tuple[Leftover, ...]:
        """Return the leftovers of interrupted commands on the host."""

    def remove_leftovers(self, paths: Sequence[str]) -> RemovedLeftovers:
        """Remove leftovers by their paths; this command must hold the host's lock. One that is busy stays."""
