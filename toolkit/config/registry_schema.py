"""The schema of `model_registry.yaml`. JSON Schema and `docs/registry.md` are generated from it."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from toolkit.config.registry_fields import (
    AcceleratorName,
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
    Repo,
    Revision,
    Size,
    Text,
    normal_flags,
    refuse,
)
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engine import ENGINES
from toolkit.domain.model import (
    Check,
    EngineSpec,
    HubSource,
    LocalSource,
    Openness,
    Permission,
    Resources,
    Source,
)
from toolkit.domain.quantity import parse_size
from toolkit.planning.engines.vllm_reserved import EXAMPLE_FLAG, EXAMPLE_VARIABLE


class Spec(BaseModel):
    """Every part of the file: exact types, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def in_domain(self, model: str, directory: str) -> Any:
        """Return what `Version` has for this part of `model`, in a registry file of `directory`."""
        raise NotImplementedError


class SourceSpec(Spec):
    """Where the files come from: a repository of the Hub, or a directory on this machine."""

    repo: Repo | None = Field(
        None,
        description="A repository of the Hugging Face Hub.",
        examples=["Qwen/Qwen2.5-7B-Instruct"],
    )
    path: Text | None = Field(
        None,
        description="A directory with a model made in house; relative to the registry file.",
        examples=["./my-model"],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> SourceSpec:
        if (self.repo is None) == (self.path is None):
            raise refuse(
                "a source is either a `repo` or a `path`",
                "write `source: {repo: owner/name}` or `source: {path: ./directory}`",
            )
        return self

    def in_domain(self, model: str, directory: str) -> Source:
        if self.repo is not None:
            return HubSource(self.repo)
        return LocalSource(os.path.normpath(os.path.join(directory, str(self.path))), model)  # noqa: PTH118


class EngineSpecFile(Spec):
    """The engine that serves it, at a pinned version."""

    name: EngineName = Field(description="The engine.", examples=[ENGINES[0]])
    version: EngineVersion = Field(
        description="Its full version; `toolkit engine list` shows those that are locked.",
        examples=["0.32.0"],
    )

    def in_domain(self, model: str, directory: str) -> EngineSpec:
        return EngineSpec(self.name, self.version)


class ResourcesSpec(Spec):
    """What one replica needs; what no host has is refused before anything is downloaded."""

    accelerators: Annotated[list[AcceleratorName], Field(min_length=1)] = Field(
        description="What it can run on, the preferred one first.", examples=[["cuda"]]
    )
    memory: Size = Field(
        description="Memory of the devices together (`cuda`: the engine is given exactly that) or of "
        "the system (`cpu`), weights and cache included.",
        examples=["20GiB"],
    )
    devices: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Devices that one replica takes.", examples=[1]
    )
    hosts: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Hosts that run one replica together, for a model too large for one; `memory` and "
        "`devices` are then what each of them gives.",
        examples=[1],
    )

    def in_domain(self, model: str, directory: str) -> Resources:
        accelerators = tuple(Accelerator(each) for each in dict.fromkeys(self.accelerators))
        return Resources(accelerators, parse_size(self.memory), self.devices, self.hosts)


class CheckSpec(Spec):
    """One completion that a replica must give before it takes traffic; never an empty one."""

    prompt: Text = Field(
        description="What it is asked.", examples=["What is the capital of France?"]
    )
    contains: OptionalText = Field(
        "", description="What the answer must contain.", examples=["Paris"]
    )
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = Field(
        32, description="Where the answer is cut.", examples=[32]
    )
    timeout: Duration = Field(
        60.0, description="How long it may take: `60s`, `2min`.", examples=["60s"]
    )

    def in_domain(self, model: str, directory: str) -> Check:
        return Check(self.prompt, self.contains, self.max_tokens, self.timeout)


class PermissionSpec(Spec):
    """What policy denies by default and this one version is allowed. It needs a reason."""

    trust_remote_code: bool = Field(
        False,
        description="Let the engine run Python code of the repository at this revision.",
        examples=[True],
    )
    formats: list[Literal["bin", "pt", "pth", "ckpt", "pkl", "msgpack", "h5", "gguf", "onnx"]] = (
        Field(
            default_factory=list,
            description="Formats besides safetensors; loading some of them can run code.",
            examples=[["bin"]],
        )
    )
    reason: Text = Field(
        description="Why, and who said so.", examples=["no safetensors upstream; reviewed"]
    )

    def in_domain(self, model: str, directory: str) -> Permission:
        return Permission(self.trust_remote_code, tuple(self.formats), self.reason)


class Entry(Spec):
    """Fields that a model sets for all its versions and each version may set for itself.

    A new one also needs a field of the same name in `domain.model.Version`; see `registry_inheritance`.
    """

    licence: Licence | None = Field(
        None, description="The licence's id on the Hub.", examples=["apache-2.0"]
    )
    openness: Annotated[Literal["fully-open", "open-weights"], AfterValidator(Openness)] | None = (
        Field(
            None,
            description="`fully-open`: weights, training data and training code are public; "
            "`open-weights`: the weights are.",
            examples=["open-weights"],
        )
    )
    source: SourceSpec | None = Field(None, description="Where the files come from.")
    engine: EngineSpecFile | None = Field(None, description="What serves it.")
    resources: ResourcesSpec | None = Field(None, description="What one replica needs.")
    serving: Annotated[dict[Flag, FlagValue], AfterValidator(normal_flags)] = Field(
        default_factory=dict,
        description="Any flag of `vllm serve`, without the dashes; reserved ones are refused. "
        "A version's flags are added to the model's, and win.",
        examples=[{EXAMPLE_FLAG: 8192}],
    )
    env: dict[EnvName, Line] = Field(
        default_factory=dict,
        description="Environment of the engine; merged like `serving`. Secrets are refused.",
        examples=[{EXAMPLE_VARIABLE: "WARNING"}],
    )
    checks: list[CheckSpec] | None = Field(
        None, description="Completions that a replica must give before it takes traffic."
    )


class VersionSpec(Entry):
    """A pinned version. Any field of the model may be set again here."""

    revision: Revision = Field(
        description="The full 40-hex commit; `toolkit registry pin` writes it.",
        examples=["a09a35458c702b33eeacc393d103063234e8bc28"],
    )
    permission: PermissionSpec | None = Field(
        None, description="What this version is allowed by exception."
    )


class ModelSpec(Entry):
    """A model; clients ask for it by its name here."""

    description: OptionalText = Field(
        "", description="For people.", examples=["Qwen2.5 7B, general chat"]
    )
    routing: Literal["least-connections", "prefix"] = Field(
        "least-connections",
        description="Which of several replicas gets a request: the one with the fewest open ones, or, with `prefix`, "
        "one that had the same first message before and has it in its cache.",
        examples=["prefix"],
    )
    versions: dict[Name, VersionSpec] = Field(
        default_factory=dict, description="Its versions, the newest last."
    )


class LicencesSpec(Spec):
    """Which licences may be deployed. One that stands nowhere needs approval by name."""

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
        description="Allowed for the models named, and no other.",
        examples=[{"llama3.1": ["llama-8b"]}],
    )


class PolicySpec(Spec):
    """What may be deployed at all."""

    licences: LicencesSpec = Field(default_factory=LicencesSpec, description="Rules by licence.")


class RegistrySpec(Spec):
    """The whole file."""

    policy: PolicySpec = Field(
        default_factory=PolicySpec, description="What may be deployed at all."
    )
    models: dict[Name, ModelSpec] = Field(description="The models by name.")
