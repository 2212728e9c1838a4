"""The interface between planning and an engine. Each engine is one module that implements it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from toolkit.domain.accelerator import Accelerator
    from toolkit.domain.deployment.release import Release
    from toolkit.domain.engines.engine import EngineLock
    from toolkit.domain.engines.fit import Actual
    from toolkit.domain.files.capabilities import ModelFacts
    from toolkit.domain.gates.kind import Kind
    from toolkit.domain.hosts.facts import HostFacts
    from toolkit.domain.registry.model import ServingValue, Version
    from toolkit.planning.engines.figures import Figures


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The memory options in a replica's arguments and environment.

    `context`, `batch` (tokens of one step) and `sequences` are None where they are left to the engine. `cache` is the
    size of the cache in bytes where it is given outright, 0 where the engine measures it. `utilization` is the share of
    a device that the engine takes. `engine` is the engine's name. Room is reserved for so many `adapters` of the rank
    `adapter_rank`. `prefixes` says whether those of earlier requests are kept. `beside_state` names an option with
    which the size of a state is not known.
    """

    context: int | None = None
    sequences: int | None = None
    batch: int | None = None
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    cache_dtype: str = "auto"
    dtype: str = "auto"
    block: int = 0
    eager: bool = False
    utilization: float = 0.92
    cache: int = 0
    engine: str = "vllm"
    adapters: int = 0
    adapter_rank: int = 0
    state_dtype: str = "auto"
    convolution_dtype: str = "auto"
    prefixes: bool = True
    beside_state: str = ""


@dataclass(frozen=True, slots=True)
class Signs:
    """The signs by which programs on a host see how a replica does; they travel in the slot's manifest.

    `health` and `metrics` are paths. `load` are the gauges whose sum is the requests in work, `cache` the metric that
    describes the cache. `memory` are words of the log lines that say what memory was taken. `server` is a word of the
    serving process's command line, `ending` the end of that line.
    `progress` are metrics that move while the engine computes for anybody, `core` is a part of the command line of the
    processes that compute. Those of them whose names differ in the pattern `ranks` alone take each step together.
    `probe` is the smallest request that these must take part in: `path` and `body`.
    `preemptions` is the counter of requests that lost their place in the cache. `times` are histograms of seconds:
    until the `first` token, and `between` tokens. `flow` are gauges of requests (`running`, `waiting`), counters of
    tokens (`prompt`, `generated`), and the part of the cache in use (`cache_use`). After a log line with one of the
    words `fatal` the engine computes nothing any more. `adapters` is the path where it lists its LoRA adapters, empty
    where it takes none.
    """

    health: str
    metrics: str
    load: tuple[str, ...]
    cache: str
    memory: tuple[str, ...]
    server: str
    ending: tuple[str, ...]
    progress: tuple[str, ...]
    core: str
    ranks: str
    probe: Mapping[str, Any]
    preemptions: str
    times: Mapping[str, str]
    flow: Mapping[str, str]
    fatal: tuple[str, ...]
    adapters: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the form of the manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Seat:
    """The seat of one process of a replica.

    `root` is the toolkit's directory on the host, `port` the process's on the loopback, `home` the directory that
    the process may write to and that outlives it. In `compiling` it finds what was compiled before, and compiles.
    Where several hosts run the replica together, `hosts` are their addresses, the leader's first, `rank` is this
    host's place among them, and at `meeting` the leader's engine waits for the others.
    """

    root: str
    port: int
    home: str
    hosts: tuple[str, ...] = ()
    rank: int = 0
    meeting: int = 0
    compiling: str = ""

    @property
    def program(self) -> str:
        """The name of the slot on its host, model and slot joined by a dash."""
        return self.home.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Missing:
    """A name that the toolkit uses and a package lacks: `flag --x`.

    Without it replicas do not start or cannot be watched, where it is `needed`; else figures are lost.
    """

    words: str
    needed: bool = True


class Engine(Protocol):
    """An engine, as planning sees it."""

    name: str
    # accelerator -> the package that is the engine
    distributions: Mapping[Accelerator, str]
    # accelerator -> requirements that a lock has beside that package
    companions: Mapping[Accelerator, tuple[str, ...]]
    # patterns of the files in its package that `missing_names` reads
    sources: tuple[str, ...]
    # bytes that its processes take on a CPU host beside weights and cache
    cpu_runtime: int
    # the share of a device's memory that it takes where nothing is said
    utilization: float
    # the files of a LoRA adapter, its configuration first
    adapter_files: tuple[str, ...]
    # the serving options that decide about calls of tools and about thoughts, the one that names a parser first
    tool_flags: tuple[str, ...]
    reasoning_flags: tuple[str, ...]
    # the phases of its start in their order, in words
    phases: tuple[str, ...]

    def arguments(
        self,
        version: Version,
        accelerator: Accelerator,
        facts: HostFacts,
        vocabulary: int | None = None,
    ) -> tuple[str, ...]:
        """Return the arguments that a release keeps: all but those that follow from the slot.

        `vocabulary` is the number of the model's tokens, None where it is not known.
        """

    def environment(
        self, version: Version, accelerator: Accelerator, weights: int
    ) -> Mapping[str, str]:
        """Return the environment that a release keeps; the registry's word is last. `weights` is in bytes."""

    def command(self, release: Release, seat: Seat) -> tuple[str, ...]:
        """Return the command line of a replica's process; the program is a path."""

    def defaults(
        self, facts: ModelFacts, kind: Kind, version: str, serving: Mapping[str, ServingValue]
    ) -> Mapping[str, ServingValue]:
        """Return the serving options that a model of such files gets in an engine of `version`, beside `serving`."""

    def parsers(self, serving: Mapping[str, ServingValue]) -> tuple[str, str]:
        """Return the parsers of calls of tools and of thoughts in serving options, empty where there is none."""

    def takes(self, serving: Mapping[str, ServingValue], medium: str) -> bool:
        """Whether serving options leave `image` or `audio` to a model that takes it."""

    def stated_context(self, version: str, serving: Mapping[str, ServingValue]) -> int | None:
        """Return the tokens of the longest request that serving options state; None where they state none."""

    def writes_chats(self, facts: ModelFacts) -> bool:
        """Whether it makes a prompt of a chat's messages for a model of such files."""

    def thinks(self, facts: ModelFacts) -> bool:
        """Whether a model of such files writes its thoughts before an answer."""

    def adapter_config_fault(self, config: Mapping[str, Any], base: Version) -> str:
        """Return why it loads no adapter with this configuration beside `base`; empty where it does."""

    def load_adapter(self, name: str, path: str) -> tuple[str, Mapping[str, Any]]:
        """Return path and body of the request that loads the adapter in the directory `path` under `name`."""

    def unload_adapter(self, name: str) -> tuple[str, Mapping[str, Any]]:
        """Return path and body of the request after which nobody can ask for the adapter `name`.

        What is being computed with it goes on.
        """

    def taken_in(self, model: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """Return path and body of requests whose answers come once earlier requests have their adapters, or none.

        `model` is the base of the adapters. The engine may refuse some of them.
        """

    def directory(self, release: Release, seat: Seat) -> str:
        """Return the directory in which every process of the engine starts in such a seat."""

    def surroundings(self, release: Release, seat: Seat) -> Mapping[str, str]:
        """Return the environment that every process of the engine gets in such a seat."""

    def can_doze(self, release: Release) -> bool:
        """Return whether a replica of the release can give its device back and keep its weights in memory."""

    def shaping(self, release: Release) -> tuple[str, ...]:
        """Return the words of arguments and environment on which compiled files may depend."""

    def signs(self, release: Release, port: int) -> Signs:
        """Return where a replica's state shows."""

    def installation(self, lock: EngineLock) -> Mapping[str, Any]:
        """Return the variables of the role `engine` that say how this engine is named and proved."""

    def read_options(
        self, version: str, args: Sequence[str], env: Mapping[str, str]
    ) -> EngineOptions:
        """Return the options among arguments and environment of an engine of `version` (`0.32.0`).

        Raises NotUnderstoodError for a bad number.
        """

    def step_defaults(
        self, options: EngineOptions, accelerator: Accelerator, device: int, name: str
    ) -> tuple[int, int]:
        """Return tokens and requests of the largest step where nothing is said, for a device of `device` bytes."""

    def adapts_embeddings(self, config: Mapping[str, Any]) -> bool:
        """Return whether embeddings and head of a model with this `config.json` take LoRA adapters too."""

    def keeps_cache(self, config: Mapping[str, Any]) -> bool:
        """Return whether it keeps a cache for a model with this `config.json`: for an encoder it keeps none."""

    def outside(self, requests: int, vocabulary: int) -> int:
        """Return the bytes of a device that a replica takes beside its share.

        `requests` are those of its largest step, `vocabulary` the entries of the model's.
        """

    def block_size(self, accelerator: Accelerator, *, latent: bool) -> int:
        """Return the tokens of one block of the cache where nothing is said."""

    def experts_filled(self, accelerator: Accelerator, name: str) -> tuple[int, int]:
        """Return the multiples to which packed experts of 4 bits are filled up on a device with this `name`.

        The first is that of the model's hidden size, the second that of an expert's width on one device.
        """

    def exactly(self, tokens: int) -> Mapping[str, Any]:
        """Return the fields of a request that make its answer exactly `tokens` tokens long, and say its usage."""

    def read_actual(self, lines: Sequence[str]) -> Actual:
        """Return the figures that log lines and metrics hold."""

    def decisive_line(self, lines: Sequence[str]) -> str:
        """Return the line of a log that says why the engine failed; nothing for an empty log."""

    def phase_of(self, line: str) -> int:
        """Return the place among `phases` of a line of the log of a start; 0 where it tells none."""

    def troubles(self, lines: Sequence[str]) -> tuple[str, ...]:
        """Return the lines of a log that report an exception or a violent end, without process, time and place."""

    def figures(self) -> tuple[Figures, ...]:
        """Return the names of metrics for rules and dashboards: one entry for each that its known versions have."""

    def missing_names(self, version: str, texts: Mapping[str, str]) -> tuple[Missing, ...]:
        """Return the names that the toolkit uses and the package lacks; `texts` has its `sources` by path."""

    def unfit_packages(
        self, accelerator: Accelerator, packages: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Return, in words, the `packages` of a lock (versions by name) that do not fit together."""

    def lacking(
        self, version: str, accelerator: Accelerator, names: Collection[str], facts: ModelFacts
    ) -> str:
        """Return a package that a model needs and a lock with packages of these `names` lacks; empty for none."""

    def context_flag(self, version: str) -> str:
        """Return the serving option that bounds a request's length, as the registry writes it."""
