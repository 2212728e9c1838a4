"""Observed state. Everything here was true on the host at `observed_at` (seconds since the epoch)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from toolkit.domain.accelerator import MAKERS, Accelerator
from toolkit.domain.deployment.release import OpenDeployment, Release
from toolkit.domain.gates.verdict import Figure, GateResult, GuardPhase
from toolkit.domain.hosts.failures import joined, reasons
from toolkit.domain.hosts.fleet import endpoint_of, is_loopback
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError, ToolkitError

# The parts of a replica's sandbox, see `planning.change.fence`.
FENCES = ("user", "rights", "files", "processes", "network", "calls")


class ProcessState(StrEnum):
    """The state of a replica, as the process supervisor of the host reports it."""

    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    ABSENT = "absent"


# Below a host's directory: the record of the last command's deployment, and those that were left to their guards.
RECORD = "deployment.json"
_LEFT = "deployments/"
_COPY = re.compile(r"bin/(hostside-[0-9A-Za-z]+) was changed")
_SNAPSHOT = re.compile(r"snapshots/([0-9a-z]+)[/ ].*")


def left_record(rollout: str) -> str:
    """Return the path of the record of a deployment that was left to its guard."""
    return f"{_LEFT}{rollout}.json"


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator; memory in bytes, `temperature` in degrees Celsius.

    `memory_errors` counts the uncorrectable errors since the driver was loaded; None where the device does not report
    them. `remapping` is `pending` where a memory row waits for a reset to be replaced, `failed` where no spare is left.
    A device with a `fault` has no memory for replicas: it is `split` into parts, or the driver says these words instead
    of its memory.
    """

    index: int
    name: str
    memory: int
    memory_free: int
    driver: str = ""
    maker: str = "nvidia"
    temperature: int | None = None
    memory_errors: int | None = None
    remapping: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """A slot of the host: the release that its manifest names, and the state of its replica.

    `weight` is its weight in the router's traffic (0: none), `share` that of a canary in parts of ten thousand of the
    model's requests; `sessions` the requests the router has open to it, over all router workers; `memory` the resident
    bytes of its processes, `device_memory` those they have of devices, None where nobody says; `drift` what of it is no
    longer as its deployment left it, in words; `fences` what keeps its process in its place, all of FENCES where none
    runs.
    `asleep` is `asleep` or `waking` where its model sleeps or wakes; it `serves_awake` where it has the traffic again
    then, and the replica `rests` once its engine has ended for sleep. A slot `can_rest` whose start knows of sleep. A
    replica is `idle` that has no part in its model's route: it takes nothing over, as one that a guard has refused. One
    `dozes` whose weights wait in the host's memory for a rollback; it is not `healthy` until it wakes.
    `hung_at` is when a replica in the slot last hung and was restarted, in seconds since the epoch; `hung` says how
    that showed.
    """

    model: str
    slot: str
    port: int
    release: Release | None = None
    devices: tuple[int, ...] = ()
    process: ProcessState = ProcessState.ABSENT
    healthy: bool = False
    weight: int = 0
    share: int = 0
    sessions: int = 0
    memory: int = 0
    device_memory: int | None = None
    started_at: float | None = None
    drift: tuple[str, ...] = ()
    fences: tuple[str, ...] = FENCES
    hung_at: float | None = None
    hung: str = ""
    asleep: str = ""
    serves_awake: bool = False
    rests: bool = False
    can_rest: bool = False
    dozes: bool = False
    idle: bool = False

    @property
    def serving(self) -> bool:
        """Whether the slot has traffic and its replica answers."""
        return self.weight > 0 and self.healthy

    @property
    def has_part(self) -> bool:
        """Whether the slot has traffic, or has it again once its model wakes."""
        return self.weight > 0 or self.serves_awake


@dataclass(frozen=True, slots=True)
class RouterFacts:
    """The router of the host. `workers` counts the processes that still have clients.

    One that is `silent` runs and does not answer the toolkit's questions in time, so nothing else of it is known.
    `drift` names targets whose weight in the running router is not that of its files, as `model/slot`.
    `keys` counts the valid keys; where the router is not `locked`, requests need none. Hosts with the same keys have
    the same `ring_digest`. `address` is the host's, for clients of a router that listens at all addresses.
    `crowd` says in words what is at its limit there, as amid a flood.
    """

    running: bool = False
    bind: str = ""
    version: str = ""
    workers: int = 0
    drift: tuple[str, ...] = ()
    tls: bool = False
    keys: int = 0
    locked: bool = False
    ring_digest: str = ""
    address: str = ""
    silent: bool = False
    crowd: str = ""

    @property
    def fault(self) -> str:
        """Why nobody can ask it, in words; empty where it answers."""
        if self.running:
            return ""
        return "does not answer" if self.silent else "does not run"

    @property
    def endpoint(self) -> str:
        """The URL that clients use; empty where the router's configuration, which names it, cannot be read."""
        return endpoint_of(self.bind, self.address, tls=self.tls) if self.bind else ""

    @property
    def inward(self) -> bool:
        """Whether the host is another machine whose endpoint only clients on it can use."""
        elsewhere = bool(self.address) and not is_loopback(self.address)
        return elsewhere and is_loopback(self.bind.rpartition(":")[0])


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """The guard of a model on the host: its order, and what it has found in the phase at hand.

    It has watched for `watched` seconds of the `seconds` of its phase, in which the new replica has answered `requests`
    and `probes` pairs of probes were compared. There is no verdict while it watches. `withdrawn` says why the host has
    withdrawn its target of `slot`, empty where it has not. The release `must_go` where the verdict takes its traffic
    away, also where the host could not withdraw it. `wish` is `promote` or `abort` where a person had it.
    `since` is in seconds since the epoch.
    """

    model: str
    slot: str
    former: str
    release: int
    version: str
    rollout: str
    phase: GuardPhase
    since: float
    seconds: float
    share: int = 0
    watched: float = 0.0
    requests: int = 0
    probes: int = 0
    figures: tuple[Figure, ...] = ()
    verdict: GateResult | None = None
    withdrawn: str = ""
    wish: str = ""
    must_go: bool = False


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host as observed. `converged` holds the digest of the last provisioning that succeeded;
    `routes` the router's truth as JSON, see `planning.routes`; `held_by` who has its deployment lock.

    `observed_at` is by the host's own clock. `accelerators` are the makers of those on its bus, whether a
    driver knows them or not; `driver_fault` is what the driver's tool says where it fails, or has lost a device.
    `opened` is the deployment that is under way on the host, or was cut short. `left_to_guards` are those that were cut
    short in their bake before it, and that commands for other models left to their guard.
    `damaged` has the toolkit's own files that cannot be read, below its directory.
    `fences` are those that a replica has which starts there now.
    `watched` tells whether its watch runs, which restarts replicas that hang.
    `unlogged` says in words what its router's log lacks.
    `files_free` and `noexec` are of the file system with its root, `tmp_free` is in bytes.
    `confines` tells whether its kernel can keep a process from reaching addresses (control groups, version 2).
    `changed_files` names in words the files of its router and of the toolkit that are not as they were written.
    `settings` are those that it was provisioned with, None where it has not kept them.
    `guards` are those that watch a release under traffic, or whose verdict no command has taken yet.
    """

    name: str
    observed_at: float
    init: str = ""
    os: str = ""
    python: str = ""
    memory: int = 0
    memory_available: int = 0
    disk_free: int = 0
    disk_total: int = 0
    files_free: int | None = None
    noexec: bool = False
    read_only: bool = False
    tmp_free: int | None = None
    os_id: str = ""
    os_version: str = ""
    kernel: str = ""
    architecture: str = ""
    confines: bool = True
    fences: tuple[str, ...] = FENCES
    watched: bool = True
    unlogged: str = ""
    accelerators: tuple[str, ...] = ()
    driver_fault: str = ""
    cpus: int = 0
    devices: tuple[Device, ...] = ()
    engines: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    converged: str = ""
    missing_libraries: tuple[str, ...] = ()
    slots: tuple[SlotFacts, ...] = ()
    router: RouterFacts = field(default_factory=RouterFacts)
    routes: Mapping[str, Any] = field(default_factory=dict)
    used_ports: tuple[int, ...] = ()
    held_by: LockOwner | None = None
    opened: OpenDeployment | None = None
    left_to_guards: tuple[OpenDeployment, ...] = ()
    damaged: tuple[str, ...] = ()
    changed_files: tuple[str, ...] = ()
    guards: tuple[GuardFacts, ...] = ()
    settings: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints of a host; its slots, routes and guards are shown elsewhere."""
        data = asdict(self)
        for name in (
            "slots", "routes", "used_ports", "opened", "left_to_guards", "guards", "settings",
        ):  # fmt: skip
            del data[name]
        data["router"]["endpoint"] = self.router.endpoint
        return data

    @property
    def accelerator(self) -> Accelerator:
        """The accelerator of engines on the host: its devices, where there are some, else the CPU."""
        known = [MAKERS[device.maker] for device in self.devices if device.maker in MAKERS]
        return known[0] if known else Accelerator.CPU

    @property
    def open_deployments(self) -> tuple[OpenDeployment, ...]:
        """All deployments that have not ended on the host, the oldest first."""
        return (*self.left_to_guards, *filter(None, [self.opened]))

    @property
    def lost_records(self) -> tuple[str, ...]:
        """The records of open deployments that cannot be read."""
        return tuple(each for each in self.damaged if each.startswith((RECORD, _LEFT)))

    @property
    def lost_manifests(self) -> tuple[str, ...]:
        """The manifests of slots that cannot be read."""
        return tuple(each for each in self.damaged if each.startswith("slots/"))

    @property
    def lost_guards(self) -> tuple[str, ...]:
        """The files of guards that cannot be read."""
        return tuple(each for each in self.damaged if each.startswith("guard/"))

    @property
    def changed_copies(self) -> tuple[str, ...]:
        """The names of copies of the host's side of the toolkit that are not as they were placed."""
        found = (_COPY.fullmatch(each) for each in self.changed_files)
        return tuple(each[1] for each in found if each)

    def has_changed_snapshot(self, release: Release) -> bool:
        """Whether a file of the release changed since it was hashed, so that the next start may be refused."""
        found = filter(None, (_SNAPSHOT.fullmatch(each) for each in self.changed_files))
        beginnings = tuple(each[1] for each in found)
        return any(each.startswith(beginnings) for each in release.snapshots)

    def without_changed_snapshots(self) -> HostFacts:
        """Return the facts without the changed files of snapshots."""
        left = tuple(each for each in self.changed_files if not _SNAPSHOT.fullmatch(each))
        return replace(self, changed_files=left)

    def slots_of(self, model: str) -> tuple[SlotFacts, ...]:
        """Return the slots that belong to `model`."""
        return tuple(slot for slot in self.slots if slot.model == model)

    def serving_slot(self, model: str) -> SlotFacts | None:
        """Return the slot that has the model's traffic, healthy or not."""
        weighted = [slot for slot in self.slots_of(model) if slot.weight > 0]
        return max(weighted, key=lambda slot: slot.weight, default=None)


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """The facts of all hosts that answer, and the errors of those that do not, by host's name.

    `labels` has the name that routes use for each host, see `Host.label`.
    """

    facts: Mapping[str, HostFacts]
    errors: Mapping[str, HostError] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def unreachable(self) -> dict[str, str]:
        """Why hosts do not answer, in words that do not repeat the host's name."""
        return reasons(self.errors)

    def failure(self, *, hint: str = "toolkit hosts", more: str = "") -> ToolkitError:
        """Return the `joined` errors of the hosts that do not answer; there is one at least."""
        return joined(self.errors, hint=hint, alone=len(self.labels) == 1, more=more)

    @property
    def by_label(self) -> dict[str, HostFacts]:
        """The facts by the name that routes use."""
        return {self.labels[name]: facts for name, facts in self.facts.items()}
