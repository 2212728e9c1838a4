"""The schema of `model_registry.yaml`. JSON Schema and `docs/registry.md` are generated from it."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from toolkit.config.registry.fields import (
    AcceleratorName,
    Alias,
    Duration,
    EngineName,
    EngineVersion,
    EnvName,
    Flag,
    FlagValue,
    Licence,
    Line,
    Name,
    OptionalText,
    OptionName,
    Ref,
    Repo,
    Revision,
    Size,
    Text,
    normal_flag,
    normal_flags,
    refuse,
    short,
)
from toolkit.config.registry.guard import AdapterGuardField, GuardField
from toolkit.config.registry.objectives import ObjectivesSpec
from toolkit.config.registry.part import Spec
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engine import ENGINES
from toolkit.domain.guard import Guard
from toolkit.domain.model import (
    DEFAULT_BRANCH,
    DEFAULT_HOLD,
    Adapter,
    Check,
    EngineSpec,
    HubSource,
    LocalSource,
    Lora,
    Openness,
    Permission,
    Resources,
    Source,
)
from toolkit.domain.quantity import parse_size
from toolkit.planning.engines.vllm_reserved import (
    EXAMPLE_FLAG,
    EXAMPLE_PERMITTED,
    EXAMPLE_VARIABLE,
)


def _openness(value: str) -> Openness:
    # Not the class itself: pydantic cannot read an enumeration's signature from Python 3.12 on.
    return Openness(value)


class SourceSpec(Spec):
    """The origin of the files: a repository of the Hub, or a directory on this machine."""

    repo: Repo | None = Field(
        None,
        description="A repository of the Hugging Face Hub.",
        examples=["Qwen/Qwen2.5-7B-Instruct"],
    )
    path: Text | None = Field(
        None,
        description="The directory of a model made in house, relative to the registry file.",
        examples=["./my-model"],
    )

    track: Ref | None = Field(
        None,
        description="The branch or tag of the repository that `toolkit outdated` and `toolkit update` follow; "
        "`main` by default.",
        examples=["main"],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> SourceSpec:
        if (self.repo is None) == (self.path is None):
            raise refuse(
                "a source is either a `repo` or a `path`",
                "write `source: {repo: owner/name}` or `source: {path: ./directory}`",
            )
        if self.track is not None and self.repo is None:
            raise refuse("a directory has no branch or tag to track", "remove `track`")
        return self

    def in_domain(self, model: str, directory: str) -> Source:
        if self.repo is not None:
            return HubSource(self.repo, self.track or DEFAULT_BRANCH)
        return LocalSource(os.path.normpath(os.path.join(directory, str(self.path))), model)  # noqa: PTH118


class EngineSpecFile(Spec):
    """The engine that serves the model, at a pinned version."""

    name: EngineName = Field(description="The engine.", examples=[ENGINES[0]])
    version: EngineVersion = Field(
        description="The engine's full version; `toolkit engine list` shows the locked versions.",
        examples=["0.32.0"],
    )

    def in_domain(self, model: str, directory: str) -> EngineSpec:
        return EngineSpec(self.name, self.version)


class ResourcesSpec(Spec):
    """The needs of one replica. A need that no host can meet is refused before any download."""

    accelerators: Annotated[list[AcceleratorName], Field(min_length=1)] = Field(
        description="The accelerators that it can run on, the preferred one first.",
        examples=[["cuda"]],
    )
    memory: Size = Field(
        description="Memory of all devices together (`cuda`: all that the replica takes of them) or of "
        "the system (`cpu`), including weights and cache.",
        examples=["20GiB"],
    )
    devices: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Number of devices of one replica.", examples=[1]
    )
    hosts: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Number of hosts that run one replica together, for a model too large for one host; "
        "`memory` and `devices` are then the contribution of each host.",
        examples=[1],
    )

    def in_domain(self, model: str, directory: str) -> Resources:
        accelerators = tuple(Accelerator(each) for each in dict.fromkeys(self.accelerators))
        return Resources(accelerators, parse_size(self.memory), self.devices, self.hosts)


KindOf = Literal["chat", "completion", "embedding", "rerank", "transcription", "classification"]


class CheckSpec(Spec):
    """An answer that a replica must give before it takes traffic. An empty answer fails."""

    kind: KindOf | None = Field(
        None,
        description="What is asked, by default what the model answers: `embedding`, `rerank`, `classification` and "
        "`transcription` (of a second of silence) must answer in their form.",
        examples=["completion"],
    )
    prompt: Text = Field(description="The question.", examples=["What is the capital of France?"])
    contains: OptionalText = Field(
        "", description="Text that the answer must contain.", examples=["Paris"]
    )
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = Field(
        32, description="The limit of the answer, in tokens.", examples=[32]
    )
    timeout: Duration = Field(
        60.0, description="The time limit of the answer: `60s`, `2min`.", examples=["60s"]
    )

    @model_validator(mode="after")
    def _of_a_text(self) -> CheckSpec:
        if self.contains and self.kind not in (None, "chat", "completion"):
            raise refuse(
                f"an answer of kind {self.kind} has no text to contain {short(self.contains)}",
                "remove `contains`, or write a golden prompt",
            )
        return self

    def in_domain(self, model: str, directory: str) -> Check:
        return Check(self.prompt, self.contains, self.max_tokens, self.timeout, self.kind or "")


class PermissionSpec(Spec):
    """Exceptions from the default policy for this one version. They need a reason."""

    trust_remote_code: bool = Field(
        False,
        description="Let the engine run Python code of the repository at this revision.",
        examples=[True],
    )
    formats: list[Literal["bin", "pt", "pth", "ckpt", "pkl", "msgpack", "h5", "gguf", "onnx"]] = (
        Field(
            default_factory=list,
            description="Formats besides safetensors. Some of them can run code when they are loaded.",
            examples=[["bin"]],
        )
    )
    options: list[OptionName] = Field(
        default_factory=list,
        description="Serving options and variables that load code or open a side door, and those that this toolkit "
        "has not judged.",
        examples=[[*EXAMPLE_PERMITTED]],
    )
    reason: Text = Field(
        description="The reason, and the person who decided.",
        examples=["no safetensors upstream; reviewed"],
    )

    def in_domain(self, model: str, directory: str) -> Permission:
        options = (name if name.isupper() else normal_flag(name) for name in self.options)
        return Permission(
            self.trust_remote_code, tuple(self.formats), self.reason, tuple(dict.fromkeys(options))
        )


class LoraSpec(Spec):
    """What a replica reserves for LoRA adapters. A change of it starts the replica anew; one of adapters does not."""

    max_active: Annotated[int, Field(ge=1, le=64)] = Field(
        4,
        description="How many different adapters are computed at once; requests for more of them take turns.",
        examples=[4],
    )
    max_rank: Literal[8, 16, 32, 64, 128, 256, 320, 512] = Field(
        16,
        description="The largest rank of an adapter. Memory is reserved for `max_active` adapters of this rank.",
        examples=[32],
    )

    def in_domain(self, model: str, directory: str) -> Lora:
        return Lora(self.max_active, self.max_rank)


_COMMIT = "0dc3a2bd5cc5e7bd0b0c32b3a3f5d6e2b1b0a9f8"


class AdapterSpec(Spec):
    """A LoRA adapter of the model. Clients request it like a model, by its name."""

    source: SourceSpec = Field(description="The origin of its files.")
    revision: Revision = Field(
        description="The full 40-hex commit; `toolkit registry pin ADAPTER` writes it in the place of a branch.",
        examples=[_COMMIT],
    )
    licence: Licence | None = Field(
        None, description="The id of its licence; the model's by default.", examples=["apache-2.0"]
    )
    base: OptionalText = Field(
        "",
        description="The base model that the adapter's own files name, where that is not the model's repository.",
        examples=["unsloth/Qwen2.5-7B-Instruct"],
    )
    checks: Annotated[list[CheckSpec], Field(max_length=64)] = Field(
        default_factory=list,
        description="What the adapter must answer before its name gets traffic.",
    )
    guard: AdapterGuardField | None = Field(
        None,
        description="What the adapter must prove beside its checks, or `off`. See [adapters](adapters.md#gates).",
    )

    def in_domain(self, model: str, directory: str) -> Adapter:
        return Adapter(
            model,
            self.source.in_domain(model, directory),
            self.revision,
            self.licence or "",
            self.base,
            tuple(check.in_domain(model, directory) for check in self.checks),
            self.guard.in_domain(model, directory) if self.guard else Guard(),
        )


class Entry(Spec):
    """Fields that a model sets for all its versions and each version may set for itself.

    A new one also needs a field of the same name in `domain.model.Version`; see `inheritance`.
    """

    licence: Licence | None = Field(
        None, description="The id of the licence on the Hub.", examples=["apache-2.0"]
    )
    openness: Annotated[Literal["fully-open", "open-weights"], AfterValidator(_openness)] | None = (
        Field(
            None,
            description="`fully-open`: weights, training data and training code are public; "
            "`open-weights`: the weights are.",
            examples=["open-weights"],
        )
    )
    source: SourceSpec | None = Field(None, description="The origin of the files.")
    engine: EngineSpecFile | None = Field(None, description="The engine that serves the model.")
    resources: ResourcesSpec | None = Field(None, description="The needs of one replica.")
    serving: Annotated[dict[Flag, FlagValue], AfterValidator(normal_flags)] = Field(
        default_factory=dict,
        description="Flags of `vllm serve`, without the dashes; [some are reserved, some need a permission]"
        "(#serving-options-and-variables). A version's flags are added to the model's and override them.",
        examples=[{EXAMPLE_FLAG: 8192}],
    )
    env: dict[EnvName, Line] = Field(
        default_factory=dict,
        description="The engine's environment, merged like `serving` and under the same rules. Secrets are refused.",
        examples=[{EXAMPLE_VARIABLE: "WARNING"}],
    )
    kind: KindOf | None = Field(
        None,
        description="What the model answers, where its files do not tell it right: a base model without a chat "
        "template answers completions, a model with `modules.json` embeddings. See [kinds](kinds.md).",
        examples=["embedding"],
    )
    aliases: Annotated[list[Alias], Field(max_length=16)] | None = Field(
        None,
        description="Other names by which clients request the model: the former one after a rename, or the "
        "repository's. Answers have the model's own name. A change of them starts the replica anew.",
        examples=[["Qwen/Qwen2.5-7B-Instruct"]],
    )
    checks: Annotated[list[CheckSpec], Field(max_length=64)] | None = Field(
        None, description="Answers that a replica must give before it takes traffic."
    )
    guard: GuardField | None = Field(
        None,
        description="What a new version must prove before and while it takes traffic, or `off`. "
        "A version's replaces the model's whole. See [upgrades](upgrades.md).",
    )
    lora: LoraSpec | None = Field(
        None,
        description="Let replicas take LoRA adapters; `adapters` alone do it with the defaults.",
    )
    adapters: Annotated[dict[Name, AdapterSpec], Field(max_length=256)] | None = Field(
        None,
        description="The LoRA adapters by the names that clients request. A version's replace the model's whole. "
        "See [adapters](adapters.md).",
        examples=[{"qwen-sql": {"source": {"repo": "acme/qwen-sql"}, "revision": _COMMIT}}],
    )


class VersionSpec(Entry):
    """A pinned version. It may set any field of the model again."""

    revision: Revision = Field(
        description="The full 40-hex commit; `toolkit registry pin` writes it.",
        examples=["a09a35458c702b33eeacc393d103063234e8bc28"],
    )
    permission: PermissionSpec | None = Field(
        None, description="Exceptions from the policy for this version."
    )
    candidate: bool = Field(
        False,
        description="Written by `toolkit update`: the version is deployed by its name alone, until it is live once or "
        "`toolkit registry accept` removes this line; see [candidates](#candidates).",
        examples=[True],
    )


class ModelSpec(Entry):
    """A model. Clients request it by this name."""

    description: OptionalText = Field(
        "", description="A text for people.", examples=["Qwen2.5 7B, general chat"]
    )
    routing: Literal["least-connections", "prefix"] = Field(
        "least-connections",
        description="The choice of a replica for a request: the one with the fewest open requests, or, with `prefix`, "
        "one that had the same first message before and has it in its cache.",
        examples=["prefix"],
    )
    hold: Duration = Field(
        DEFAULT_HOLD,
        description="How long requests wait, at most, while a new replica starts in place of the only one. Then they "
        "are refused. See [upgrades](upgrades.md#hold).",
        examples=["120s"],
    )
    inside: bool = Field(
        False,
        description="Whether requests for the model must stay in the fleet: no gateway's configuration has it beside a "
        "closed model. See [gateways](gateways.md).",
        examples=[True],
    )
    objectives: ObjectivesSpec | None = Field(
        None,
        description="What the model promises its clients; `toolkit slo` shows whether it keeps it. "
        "See [observability](observability.md#objectives).",
    )
    versions: dict[Name, VersionSpec] = Field(
        default_factory=dict, description="The versions, the newest last."
    )


class LicencesSpec(Spec):
    """The licences that may be deployed. A licence without a rule needs approval by name."""

    allowed: list[Licence] = Field(
        default_factory=list,
        description="Allowed for every model.",
        examples=[["apache-2.0", "mit"]],
    )
    denied: list[Licence] = Field(
        default_factory=list, description="Denied for every model.", examples=[["cc-by-nc-4.0"]]
    )
    approved: dict[Licence, list[Name]] = Field(
        default_factory=dict,
        description="Allowed for the named models only.",
        examples=[{"llama3.1": ["llama-8b"]}],
    )


class PolicySpec(Spec):
    """The rules for what may be deployed."""

    licences: LicencesSpec = Field(default_factory=LicencesSpec, description="Rules by licence.")


class RegistrySpec(Spec):
    """The whole file."""

    policy: PolicySpec = Field(
        default_factory=PolicySpec, description="The rules for what may be deployed."
    )
    models: dict[Name, ModelSpec] = Field(description="The models by name.")
