"""The content of the registry: models, their pinned versions and the policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.gates.guard import Guard
from toolkit.domain.registry.objective import Objectives
from toolkit.domain.registry.release_parts import DEFAULT_HOLD, Check, EngineSpec
from toolkit.errors import InputError

# The branch that the Hub gives every repository.
DEFAULT_BRANCH = "main"

ServingValue = str | int | float | bool | tuple[str, ...]

# The ids of licences on the Hub, in lower case.
LICENCE_PATTERN = r"^[a-z0-9][a-z0-9.+_-]{0,62}$"


class Openness(StrEnum):
    """Whether weights, training data and training code are public, or the weights alone."""

    FULLY_OPEN = "fully-open"
    OPEN_WEIGHTS = "open-weights"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of the Hugging Face Hub, `owner/name`, and the branch or tag of it that is followed."""

    repo: str
    track: str = DEFAULT_BRANCH

    @property
    def key(self) -> str:
        """The repository under which a mirror serves it."""
        return self.repo


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A directory on the ops machine that holds a model made in house; `name` is the model's."""

    path: str
    name: str

    @property
    def key(self) -> str:
        """The repository under which a mirror serves it."""
        return f"local/{self.name}"


Source = HubSource | LocalSource


@dataclass(frozen=True, slots=True)
class Resources:
    """The needs of one replica. `memory` is in bytes: device memory on CUDA, system memory on CPU.

    Over several `hosts`, `memory` and `devices` are what each of them gives.
    """

    accelerators: tuple[Accelerator, ...]
    memory: int
    devices: int = 1
    hosts: int = 1


@dataclass(frozen=True, slots=True)
class Permission:
    """Exceptions from the default policy for one version, with their reason.

    `options` are serving options and variables that load code or open a side door.
    """

    trust_remote_code: bool = False
    formats: tuple[str, ...] = ()
    reason: str = ""
    options: tuple[str, ...] = ()

    @property
    def allowed(self) -> tuple[str, ...]:
        """The permissions, as people read them: `code`, formats, options."""
        return (*(("code",) if self.trust_remote_code else ()), *self.formats, *self.options)


@dataclass(frozen=True, slots=True)
class Lora:
    """The reserve of a replica for LoRA adapters: how many it computes at once, and the largest rank of one.

    Both are arguments of the engine, so a change of them starts the replica anew.
    """

    max_active: int = 4
    max_rank: int = 16


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter of a version, which clients request as a model called `name`.

    `licence` is empty where it is the version's. `base` is what the adapter's own files name as its base, where that is
    not the version's repository. `guard` says what it must prove beside its `checks`.
    """

    name: str
    source: Source
    revision: str
    licence: str = ""
    base: str = ""
    checks: tuple[Check, ...] = ()
    guard: Guard = field(default_factory=Guard)

    @property
    def title(self) -> str:
        """`adapter@revision`, the revision short."""
        return f"{self.name}@{self.revision[:12]}"


@dataclass(frozen=True, slots=True)
class Version:
    """A pinned entry under a model. `revision` is a full 40-hex commit (or content id of a directory).

    A `candidate` is deployed by its name alone: it is no model's newest version. Where its replica starts in place of
    the only one that serves, requests wait for up to `hold` seconds. `lora` is what a replica reserves for its
    `adapters`. `adapter_of` names the model of an adapter that stands here as a version, see `parts`. `kind` is what
    the model answers, see `gates.kind`, empty where its files tell. `aliases` are its other names for clients.
    """

    model: str
    name: str
    source: Source
    revision: str
    licence: str
    openness: Openness
    engine: EngineSpec
    resources: Resources
    serving: Mapping[str, ServingValue] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    permission: Permission = field(default_factory=Permission)
    routing: str = "least-connections"
    guard: Guard = field(default_factory=Guard)
    candidate: bool = False
    hold: float = DEFAULT_HOLD
    adapters: tuple[Adapter, ...] = ()
    lora: Lora | None = None
    adapter_of: str = ""
    kind: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`model@version`, as typed on the command line."""
        return f"{self.model}@{self.name}"

    @property
    def reserved(self) -> Lora | None:
        """The reserve of a replica for adapters; None where it takes none."""
        return self.lora or (Lora() if self.adapters else None)

    @property
    def parts(self) -> tuple[Version, ...]:
        """The parts with files of their own: the version, and each adapter as a version of a model of its name."""
        return (self, *map(self.part, self.adapters))

    def part(self, adapter: Adapter) -> Version:
        """Return an adapter as a version: its source, licence and files are judged and fetched like any other's."""
        return replace(
            self,
            model=adapter.name,
            name=adapter.revision[:12],
            source=adapter.source,
            revision=adapter.revision,
            licence=adapter.licence or self.licence,
            checks=adapter.checks,
            guard=adapter.guard,
            permission=Permission(),
            adapters=(),
            lora=None,
            adapter_of=self.model,
            aliases=(),
        )


@dataclass(frozen=True, slots=True)
class Model:
    """A named entry of the registry. `versions` stand in the file's order, the newest last.

    Nothing that clients send to a model `inside` may reach a closed model. `objectives` are what it promises them.
    """

    name: str
    description: str
    versions: tuple[Version, ...]
    inside: bool = False
    objectives: Objectives | None = None

    @property
    def newest(self) -> Version:
        """The last version of the file that is no candidate; the last candidate where there are candidates alone."""
        accepted = [version for version in self.versions if not version.candidate]
        return (accepted or self.versions)[-1]

    @property
    def candidates(self) -> tuple[Version, ...]:
        """The versions that wait to be deployed by name, or to be accepted."""
        return tuple(version for version in self.versions if version.candidate)

    def version(self, name: str) -> Version:
        """Return the version called `name`; raises InputError with near misses."""
        for version in self.versions:
            if version.name == name:
                return version
        raise unknown("version", name, [v.name for v in self.versions], where=f"of {self.name}")


@dataclass(frozen=True, slots=True)
class Policy:
    """Licences by SPDX-like id: `allowed`, `denied`, or approved for single models by name."""

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    approved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registry:
    """The whole of `model_registry.yaml`.

    `waiting` are the models that are still to be pinned, by name, each with why it cannot be used and the command that
    pins it. The others can be used.
    """

    models: Mapping[str, Model]
    policy: Policy
    path: str
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def versions(self) -> tuple[Version, ...]:
        """The versions of all models, in the file's order."""
        return tuple(version for model in self.models.values() for version in model.versions)

    def adapters(self, name: str) -> tuple[tuple[Version, Adapter], ...]:
        """Return the adapters called `name` with the versions that have them, in the file's order."""
        return tuple(
            (version, adapter)
            for version in self.versions
            for adapter in version.adapters
            if adapter.name == name
        )

    def model(self, name: str) -> Model:
        """Return the model called `name`; raises InputError where it waits to be pinned, and with near misses."""
        if name in self.models:
            return self.models[name]
        if name in self.waiting:
            why, command = self.waiting[name]
            raise InputError(why, hint=command)
        if owners := self.adapters(name):
            base = owners[-1][0].model
            raise InputError(
                f"{name} is an adapter of {base}, whose replicas serve it",
                hint=f"name the model: {base}; toolkit update {name} pins the adapter's newest revision",
            )
        where = f"in {self.path}"
        if meant := self._otherwise_named(name):
            raise InputError(
                f"no model {name!r} {where}", hint=f"did you mean {' or '.join(meant)}?"
            )
        raise unknown("model", name, list(self.models), where=where)

    def _otherwise_named(self, name: str) -> list[str]:
        """Return the models of which one of the versions has this alias, or is of this repository."""
        sought = name.lower()
        return [
            model.name
            for model in self.models.values()
            if any(
                sought in (each.source.key.lower(), *map(str.lower, each.aliases))
                for each in model.versions
            )
        ]

    def version(self, spec: str) -> Version:
        """Return the version that `MODEL` (its newest) or `MODEL@VERSION` names; a candidate only by its name.

        Raises InputError where the registry has no such version, or the model has candidates alone.
        """
        name, at, version = spec.partition("@")
        model = self.model(name)
        if at and not version:
            # A script's variable that is not set must not mean the newest.
            known = ", ".join(each.name for each in model.versions)
            raise InputError(
                f"{spec!r} names no version", hint=f"{name} is the newest; known: {known}"
            )
        if not version and model.newest.candidate:
            raise InputError(
                f"{name} has candidates alone, and none of them is accepted",
                hint=f"name one: {model.newest.title}, or toolkit registry accept {model.newest.title}",
            )
        return model.version(version) if version else model.newest


def parts_of(versions: Iterable[Version]) -> tuple[Version, ...]:
    """Return the parts with files of their own, each once: the versions, and their adapters."""
    parts = [part for version in versions for part in version.parts]
    return tuple({part.title: part for part in parts}.values())


def unknown(noun: str, name: str, known: list[str], *, where: str) -> InputError:
    """Return the error for an unknown name, with the nearest known names as hint."""
    near = near_names(name, known)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
    return InputError(f"no {noun} {name!r} {where}", hint=hint)


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that a person may have meant by this one, the nearest first, whatever their letters."""
    import difflib

    names = {each.lower(): each for each in known}
    return [names[each] for each in difflib.get_close_matches(name.lower(), names, cutoff=0.5)]
