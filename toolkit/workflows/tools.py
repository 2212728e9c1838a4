"""The adapters, the clock and the reporter that workflows are given. Workflows use nothing else of the outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from toolkit.adapters.patience import NO_PATIENCE
from toolkit.errors import RefusedError

if TYPE_CHECKING:
    from toolkit.adapters.ansible.converge import Converge
    from toolkit.adapters.distribution.port import Distribution
    from toolkit.adapters.history.history import History
    from toolkit.adapters.hosts.port import HostPort
    from toolkit.adapters.interruption import Interruption
    from toolkit.adapters.patience import Patience
    from toolkit.adapters.store.compiled import CompiledTrees
    from toolkit.domain.deployment.release import Release
    from toolkit.domain.files.snapshot import FileDigest
    from toolkit.domain.gates.guard import Benchmarks, Score
    from toolkit.domain.gates.verdict import GateResult
    from toolkit.domain.hosts.facts import HostFacts
    from toolkit.domain.registry.model import Version
    from toolkit.domain.replicas.answers import Answer
    from toolkit.domain.replicas.probe import LockOwner
    from toolkit.domain.trail.audit import Head
    from toolkit.planning.routing.routes import Routes

Say = Callable[[str], None]
# Called before the first change of a command that may find nothing to change, and perhaps before later ones. Where the
# audit log takes nothing it raises RefusedError, and nothing is changed.
Begin = Callable[[], None]
Plan = TypeVar("Plan")


@dataclass(frozen=True, slots=True)
class SnapshotFiles:
    """A snapshot in the store of the ops machine: its directory and the files in it."""

    directory: str
    files: tuple[FileDigest, ...]


class RoutersPort(Protocol):
    """The routers of a fleet for the change of a host: `Routers`, or a rendezvous of several hosts' changes."""

    def change(self, edit: Callable[[Routes], Routes], needed: Collection[str]) -> None:
        """Bring all routers to `edit` of their routes; raises HostError where a router of `needed` did not follow."""

    def check(self) -> None:
        """Raise CalledOffError where the changes of the other hosts were called off."""

    def observed(self, facts: Mapping[str, HostFacts]) -> None:
        """Take over the routes in the facts of hosts, by label."""

    def moved(self, relays: Mapping[str, str]) -> None:
        """Take over where the routers of hosts, by label, listen from now on, and tell all routers."""

    def agreed(self, label: str, facts: HostFacts) -> HostFacts:
        """Return the facts of a host with the traffic that the fleet's routes give it: its own may be out of date."""

    def remind(self) -> None:
        """Tell routers that missed a change again, not more often than every few seconds."""

    def catch_up(self) -> Mapping[str, str]:
        """Tell the present routes to all routers where one of them missed a change; return why some still do."""


class Supplies(Protocol):
    """The supplies of a host: snapshots and engines from the ops machine."""

    def fetch(self, version: Version) -> None:
        """Bring the version's snapshot into the store, verified; raises SourceError, IntegrityError."""

    def verify(self, release: Release) -> None:
        """Hash the release's snapshot in the store; raises IntegrityError where it is not as pinned."""

    def snapshot(self, release: Release) -> SnapshotFiles:
        """Return where the release's snapshot lies; raises SourceError where the store lacks it."""

    def engine_variables(self, engine: str, say: Say) -> Mapping[str, Any]:
        """Return the variables of the role `engine`, its packages downloaded and checked."""

    def engine_packages(self, engine: str) -> tuple[FileDigest, ...]:
        """Return the files in the directory that `engine_variables` names."""

    def recheck_engine(self, engine: str) -> bool:
        """Hash the engine's packages, and return whether one is damaged: `engine_variables` then fetches it again."""


class Trail(Protocol):
    """The trail of a command in the audit log. Threads of a command may share it."""

    @property
    def head(self) -> Head | None:
        """The log's head, whose line is the command's intent; None where the command is not recorded."""

    def witness(self, host: HostPort) -> None:
        """Note that the host knows the head, and that it gets the one with the command's outcome."""

    def ended(self, host: str, outcome: str, reason: str = "") -> None:
        """Note how a deployment ended on a host."""

    def judged(self, host: str, result: GateResult) -> None:
        """Note the verdict of a gate, of a canary or of a bake on a host."""


def unrecorded() -> None:
    """Record nothing of a change: the caller has a record of its own, or needs none."""


class NoTrail:
    """The trail of a command that is not recorded."""

    head = None

    def witness(self, host: HostPort) -> None:
        """Note nothing."""

    def ended(self, host: str, outcome: str, reason: str = "") -> None:
        """Note nothing."""

    def judged(self, host: str, result: GateResult) -> None:
        """Note nothing."""


class Scores(Protocol):
    """The benchmark that asks a replica the questions of tasks, see `LmEval`."""

    def scores(
        self,
        benchmarks: Benchmarks,
        model: str,
        ask: Callable[[str, Mapping[str, Any]], Answer],
        say: Say,
        *,
        chat: bool = True,
    ) -> tuple[Score, ...]:
        """Return the scores of a model whose replica `ask` asks; raises SourceError, InputError."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The adapters of one command.

    `clock` returns seconds since the epoch; `say` takes a line of progress for people.
    `supplies` and `distribution` are opened when first called: a switch to a standby needs neither.
    `provision_digest` is over the roles and settings of a provisioned host. `routers` are those of all hosts
    with routes. `settings` are those of the host's provisioning, see `settings_of`. `interruption` ends the
    waits of these adapters and of those of the command's other hosts. `scorer` gives what runs benchmarks, None where
    the command runs none. `patience` is for other commands that hold hosts. `compiled` is what
    engines have compiled, as far as this machine keeps it, None where it carries nothing.
    """

    host: HostPort
    converge: Converge
    history: History
    supplies: Callable[[], Supplies]
    owner: LockOwner
    clock: Callable[[], float]
    say: Say
    provision_digest: str
    routers: RoutersPort
    distribution: Callable[[], Distribution]
    interruption: Interruption
    trail: Trail = field(default_factory=NoTrail)
    scorer: Callable[[], Scores] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    patience: Patience = NO_PATIENCE
    compiled: CompiledTrees | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds that parts of a change may take.

    `drain`: running requests of the old replica; long enough for LLM answers.
    `ready`: a replica's start, weights of hundreds of gigabytes included.
    `bake`: how long a new release is watched under traffic before the old one is let go; None: as its guard says.
    """

    ready: float = 1800.0
    drain: float = 900.0
    bake: float | None = None


def require_yes(
    plan: Plan, confirm: Callable[[Plan], bool], nothing: str = "nothing was changed"
) -> None:
    """Ask a person to agree to the plan.

    `nothing` says what did not happen. Raises RefusedError where `confirm` says no.
    """
    if not confirm(plan):
        raise RefusedError(f"not confirmed; {nothing}", hint="add --yes to go ahead")
