"""The guard of a model: the proofs that a new version owes before and while it takes traffic; findings: `verdict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from toolkit.domain.gates.verdict import GuardPhase, Unsure
from toolkit.domain.replicas.answers import Call


@dataclass(frozen=True, slots=True)
class ShareStep:
    """One step of a canary: `share` of the requests (0 to 1) for `seconds`, and until `requests` were answered."""

    share: float
    seconds: float
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The bounds of what traffic and probes may show of the new release without a breach.

    `slower` is the ratio of times to those of the serving release, `errors` the share of failed requests that it may
    have more, `growth` the ratio to which its memory may grow while it is watched.
    """

    slower: float = 1.15
    errors: float = 0.005
    growth: float = 1.5


@dataclass(frozen=True, slots=True)
class Answers:
    """Golden prompts: the new release passes `at_least` (0 to 1) of them, and loses at most `lose_at_most` of them.

    A prompt is lost where the serving release passes it at the same moment and the new one does not. `file` is as the
    registry writes it, relative to `directory`, the registry's own; `place` is the registry's line that names it.
    """

    file: str
    at_least: float = 0.0
    lose_at_most: int = 0
    directory: str = field(default="", compare=False)
    place: str = field(default="", compare=False)

    @property
    def path(self) -> str:
        """The file of the golden prompts."""
        return str(PurePosixPath(self.directory, self.file))


@dataclass(frozen=True, slots=True)
class Speed:
    """Paired requests of `max_tokens` to the new and the serving release in turn, `concurrency` at once."""

    pairs: int = 20
    concurrency: int = 1
    max_tokens: int = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """Changes of the form of answers that clients may see: paths of keys such as `message.reasoning`, or `*`."""

    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """Local task files of `lm-eval`, at most `limit` questions of each; a score may fall by `lose_at_most` (0 to 1).

    `timeout` is in seconds, for all tasks of one release.
    """

    tasks: tuple[str, ...]
    limit: int = 100
    lose_at_most: float = 0.02
    timeout: float = 3600.0
    directory: str = field(default="", compare=False)
    place: str = field(default="", compare=False)

    @property
    def paths(self) -> tuple[str, ...]:
        """The task files."""
        return tuple(str(PurePosixPath(self.directory, each)) for each in self.tasks)


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a release in a task: the `value` of a metric (0 to 1, the higher the better), and its `marks`.

    `marks` has the metric of single questions by their number, where the metric has one. `metric` names its filter too
    where the task has several for it: `exact_match (strict-match)`.
    """

    task: str
    metric: str
    value: float
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guard:
    """The demands on a version. They belong to the deployment and not to the release: changing it restarts nothing.

    The gates run before any traffic. `steps` are the canary, each with less than all traffic; `bake` is the seconds of
    watching under all of it (None: as the command says), and until `bake_requests` were answered. A step that cannot be
    judged holds for up to `patience` seconds, then follows `unsure`. With `off` the checks of the release are all.
    """

    steps: tuple[ShareStep, ...] = ()
    bake: float | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    patience: float = 1800.0
    unsure: Unsure = Unsure.RETURN
    bake_requests: int = 0
    answers: Answers | None = None
    speed: Speed | None = None
    shape: Shape = field(default_factory=Shape)
    benchmarks: Benchmarks | None = None
    off: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints: the fields of the registry, without their place in the file."""
        data = asdict(self)
        for part in ("answers", "benchmarks"):
            if data[part]:
                del data[part]["directory"], data[part]["place"]
        return data


@dataclass(frozen=True, slots=True)
class PairedProbe:
    """A request that the guard sends to the new replica and the former one in turn, directly, never through the router.

    The answer must contain `contains`. With `same` nothing about answers is meant to change, and the guard compares
    them. An empty answer always counts as failed. Of an adapter, `former` is the name under which the replica has the
    version that served before, empty where none did; None where a release is asked.
    """

    path: str
    payload: Mapping[str, Any]
    contains: str = ""
    same: bool = False
    former: str | None = None


@dataclass(frozen=True, slots=True)
class AdapterReturn:
    """The way in which a host returns adapters: public `names` that lead to new weights, and calls to their replica.

    Those of `back` make the names lead to the former weights, those of `after` forget what probes alone needed.
    """

    names: tuple[str, ...]
    back: tuple[Call, ...]
    after: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class GuardOrder:
    """The order to the guard of a host, from the phase at hand on.

    `slot` has the new release, `former` the slot of the release that stands beside it, empty where none does. `share`
    is in parts of ten thousand. A phase lasts for `seconds`, and until `requests` were answered; where it cannot be
    judged it holds for up to `patience` seconds, and then follows `unsure`. `hosts` is the number of hosts whose guards
    judge the same rollout, which share the chance of a false alarm. Where `adapters` alone change, they are what is
    watched and given back, and `former` is empty.
    """

    rollout: str
    model: str
    slot: str
    former: str
    release: int
    version: str
    phase: GuardPhase
    seconds: float
    requests: int = 0
    share: int = 0
    patience: float = 1800.0
    unsure: Unsure = Unsure.RETURN
    tolerance: Tolerance = field(default_factory=Tolerance)
    probes: tuple[PairedProbe, ...] = ()
    hosts: int = 1
    adapters: AdapterReturn | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the form that hosts keep."""
        return {**asdict(self), "probes": [asdict(each) for each in self.probes]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> GuardOrder:
        """Return the order whose `as_json` is `data`."""
        return GuardOrder(
            **{
                **data,
                "phase": GuardPhase(data["phase"]),
                "unsure": Unsure(data["unsure"]),
                "tolerance": Tolerance(**data["tolerance"]),
                "probes": tuple(PairedProbe(**each) for each in data["probes"]),
                "adapters": _adapters_from(data.get("adapters")),
            }
        )


def _adapters_from(data: Mapping[str, Any] | None) -> AdapterReturn | None:
    if data is None:
        return None
    back, after = (tuple(Call(**each) for each in data[part]) for part in ("back", "after"))
    return AdapterReturn(tuple(data["names"]), back, after)
