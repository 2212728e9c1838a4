"""A release, and the attempts to make it live: deployments and their steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.quantity import Size, written_size
from toolkit.domain.registry.release_parts import DEFAULT_HOLD, Check

SLOTS = ("blue", "green")
PORTS_TO_MEET = 2


@dataclass(frozen=True, slots=True)
class Span:
    """The hosts that run one replica together: `size` of them.

    `hosts` are the addresses at which they reach each other, the leader's first; it is empty before hosts are chosen.
    The replica uses ports of the leader from `port` on, two for each slot.
    """

    size: int
    hosts: tuple[str, ...] = ()
    port: int = 0

    def port_of(self, slot: str) -> int:
        """Return the first of the two ports at which the hosts of the replica in `slot` meet."""
        return self.port + PORTS_TO_MEET * SLOTS.index(slot)

    def rank_of(self, address: str) -> int | None:
        """Return the place of the host with this address; None where the hosts had other addresses when chosen."""
        return self.hosts.index(address) if address in self.hosts else None

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Span:
        """Return the span from the JSON form of a release."""
        return Span(data["size"], tuple(data["hosts"]), data["port"])


@dataclass(frozen=True, slots=True)
class ReleaseAdapter:
    """A LoRA adapter of a release: the name that clients request, and its files, like those of the release."""

    name: str
    source: str
    revision: str
    snapshot: str
    checks: tuple[Check, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form in a release."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**data, "checks": [check.as_json() for check in self.checks]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ReleaseAdapter:
        """Return the adapter whose `as_json` is `data`."""
        known = {key: data[key] for key in ReleaseAdapter.__dataclass_fields__}
        return ReleaseAdapter(**{**known, "checks": tuple(map(Check.from_json, known["checks"]))})


@dataclass(frozen=True, slots=True)
class Release:
    """Everything that defines a running replica. A release is immutable; `number` counts up per model.

    `routing` is the policy that shares requests among replicas, `engine` the id of an engine lock, `snapshot` the
    digest of the files. `args` follow `vllm serve .`; the slot adds the address. `memory` is in bytes. `span` is
    set if several hosts run one replica together. `adapters` come and go in a running replica. `does` is what it can do
    for clients, None where nobody read the files of its model. `aliases` are the model's other names. Where it or its
    successor starts in place of the other, requests wait for up to `hold` seconds.
    """

    model: str
    number: int
    version: str
    source: str
    revision: str
    snapshot: str
    engine: str
    accelerator: str
    memory: int
    devices: int
    args: tuple[str, ...]
    env: Mapping[str, str]
    checks: tuple[Check, ...] = ()
    routing: str = "least-connections"
    span: Span | None = None
    adapters: tuple[ReleaseAdapter, ...] = ()
    does: Capabilities | None = None
    aliases: tuple[str, ...] = ()
    hold: float = field(default=DEFAULT_HOLD, compare=False)

    @property
    def title(self) -> str:
        """Its name for users: `tiny #3 (v2)`."""
        return f"{self.model} #{self.number} ({self.version})"

    @property
    def parts(self) -> tuple[Release, ...]:
        """The release once for each snapshot that it needs, each with source, revision and digest of that one."""
        return (
            self,
            *(
                replace(
                    self,
                    source=each.source,
                    revision=each.revision,
                    snapshot=each.snapshot,
                    adapters=(),
                )
                for each in self.adapters
            ),
        )

    @property
    def adapter_words(self) -> str:
        """Its adapters with their sources, for people; empty without any."""
        return ", ".join(
            f"{each.name} ({each.source}@{each.revision[:12]})" for each in self.adapters
        )

    @property
    def snapshots(self) -> frozenset[str]:
        """The digests of the files that it needs: its own, and those of its adapters."""
        return frozenset((self.snapshot, *(each.snapshot for each in self.adapters)))

    def runs_as(self, other: Release) -> bool:
        """Whether one replica can serve both, one after the other: they differ in nothing but number and adapters."""
        return replace(self, adapters=other.adapters, version=other.version).same_as(other)

    def same_as(self, other: Release) -> bool:
        """Whether both releases are equal apart from number, hold, what is known of their abilities, and units.

        What differs for the engine stands in its arguments, and knowing more of a model starts no replica anew.
        """
        mine, theirs = self.as_json(), other.as_json()
        apart = {"number": 0, "does": None, "memory_written": "", "hold": 0}
        return {**mine, **apart} == {**theirs, **apart}

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form that history, hosts and `--json` share."""
        # `asdict` would copy checks and abilities as well, which have a form of their own, for each comparison.
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["memory"] = int(self.memory)
        if (written := written_size(self.memory)) != written_size(int(self.memory)):
            data["memory_written"] = written
        data["args"] = list(self.args)
        data["env"] = dict(self.env)
        data["checks"] = [check.as_json() for check in self.checks]
        if self.span:
            data["span"] = {**asdict(self.span), "hosts": list(self.span.hosts)}
        else:
            del data["span"]
        if self.adapters:
            data["adapters"] = [each.as_json() for each in self.adapters]
        else:
            del data["adapters"]
        if self.does:
            data["does"] = self.does.as_json()
        else:
            del data["does"]
        if self.aliases:
            data["aliases"] = list(self.aliases)
        else:
            del data["aliases"]
        if self.hold == DEFAULT_HOLD:
            del data["hold"]
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Release:
        """Return the release whose `as_json` is `data`."""
        # Releases of an older toolkit lack these fields: it had one policy of routing, one host for each replica and no
        # adapters, and it did not read a model's abilities.
        absent = {"span": None, "adapters": (), "does": None, "aliases": (), "hold": DEFAULT_HOLD}
        data = {"routing": "least-connections", **absent, **data}
        known = {key: data[key] for key in Release.__dataclass_fields__}
        known["memory"] = Size(known["memory"], data.get("memory_written", ""))
        known["args"], known["aliases"] = tuple(known["args"]), tuple(known["aliases"])
        known["hold"] = float(known["hold"])
        known["checks"] = tuple(map(Check.from_json, known["checks"]))
        known["adapters"] = tuple(map(ReleaseAdapter.from_json, known["adapters"]))
        if known["span"]:
            known["span"] = Span.from_json(known["span"])
        if known["does"]:
            known["does"] = Capabilities.from_json(known["does"])
        return Release(**known)


class Outcome(StrEnum):
    """The state of a deployment or of a step."""

    RUNNING = "running"
    LIVE = "live"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step in the history, recorded when it starts and completed when it ends.

    Times are seconds since the epoch.
    """

    seq: int
    kind: str
    detail: str
    outcome: Outcome
    started_at: float
    ended_at: float | None = None


_REPLACING = ("deploy", "upgrade", "rollback")
_LEAVING = ("stop", "forget")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to make a release live on one host, as it begins.

    `host` is the host's name in the fleet, empty in records that are older than fleets. All attempts of a command over
    several hosts share one `rollout`; it is empty for a single one. `kept` is whether the host has it too, as an
    `OpenDeployment`, until it ends.
    """

    model: str
    action: str
    release: int
    previous: int | None
    slot: str
    actor: str
    host: str = ""
    rollout: str = ""
    kept: bool = False

    @property
    def replaces(self) -> bool:
        """Whether it gives the model's traffic to its release where it succeeds; gates alone try a release."""
        return self.action in _REPLACING

    @property
    def leaves(self) -> bool:
        """Whether its host has no replica of the model any more where it succeeds."""
        return self.action in _LEAVING


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Attempt):
    """An attempt that has begun. Times are seconds since the epoch.

    `id` is 0 where another ops machine's history has it.
    """

    id: int
    outcome: Outcome
    reason: str
    started_at: float
    ended_at: float | None = None
    steps: tuple[StepRecord, ...] = ()

    @property
    def title(self) -> str:
        """Its name for users."""
        return f"deployment {self.id}" if self.id else "a deployment of another ops machine"


@dataclass(frozen=True, slots=True)
class OpenDeployment:
    """A deployment that has not ended, as its host keeps it: enough for any ops machine to end it.

    `starts` is whether it starts a replica in its slot; `started_at` is in seconds since the epoch. It is `unjudged`
    where a repair has found the order of its guard lost: a person decides about it. The host was `placed` where the
    routes led to it before the deployment although it had no replica.
    """

    rollout: str
    action: str
    model: str
    slot: str
    actor: str
    release: Release | None
    previous: Release | None
    starts: bool
    started_at: float
    unjudged: bool = False
    placed: bool = False

    def on(self, host: str) -> Deployment:
        """Return it as a deployment on `host` that this history does not know; its id is 0."""
        previous = self.previous.number if self.previous else None
        return Deployment(
            id=0,
            model=self.model,
            action=self.action,
            release=self.release.number if self.release else previous or 0,
            previous=previous,
            slot=self.slot,
            actor=self.actor,
            outcome=Outcome.RUNNING,
            reason="",
            started_at=self.started_at,
            host=host,
            rollout=self.rollout,
            kept=True,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form on the host."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("release", "previous"):
            data[name] = data[name].as_json() if data[name] else None
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> OpenDeployment:
        """Return the deployment whose `as_json` is `data`."""
        # A record that an older toolkit has written says nothing of a guard or a place.
        found = {"unjudged": False, "placed": False, **data}
        known = {name: found[name] for name in OpenDeployment.__dataclass_fields__}
        for name in ("release", "previous"):
            known[name] = Release.from_json(known[name]) if known[name] else None
        return OpenDeployment(**known)
