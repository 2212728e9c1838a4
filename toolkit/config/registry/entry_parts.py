"""The schema of what an entry of the registry is made of: source, engine, resources, checks, permissions, adapters."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field, model_validator

from toolkit.config.registry.fields import (
    AcceleratorName,
    Duration,
    EngineName,
    EngineVersion,
    Licence,
    OptionalText,
    OptionName,
    Ref,
    Repo,
    Revision,
    Size,
    Text,
    each_once,
    normal_flag,
    refuse,
    short,
)
from toolkit.config.registry.guard import AdapterGuardField
from toolkit.config.registry.part import Spec
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import ENGINES
from toolkit.domain.gates.golden import TOKEN
from toolkit.domain.gates.guard import Guard
from toolkit.domain.quantity import parse_size
from toolkit.domain.registry.model import (
    DEFAULT_BRANCH,
    Adapter,
    HubSource,
    LocalSource,
    Lora,
    Permission,
    Resources,
    Source,
)
from toolkit.domain.registry.release_parts import Check, EngineSpec
from toolkit.planning.engines.vllm_reserved import EXAMPLE_PERMITTED


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
        if "contains" in self.model_fields_set and not self.contains.strip():
            raise refuse(
                f"every answer contains {short(self.contains)}",
                "write a text that the answer must contain, or remove `contains`",
            )
        if len(self.contains) > self.max_tokens * TOKEN:
            raise refuse(
                f"an answer of at most {self.max_tokens} tokens never has {len(self.contains)} characters",
                "raise `max_tokens`, or write less of the answer",
            )
        return self

    def in_domain(self, model: str, directory: str) -> Check:
        return Check(self.prompt, self.contains, self.max_tokens, self.timeout, self.kind or "")


Checks = Annotated[
    list[CheckSpec],
    Field(max_length=64),
    each_once(
        lambda check: f"the check {short(check.prompt)}", "remove one: it proves nothing more"
    ),
]


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
    """The room reserved for LoRA adapters. A change of it starts the replica anew; one of adapters does not."""

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


EXAMPLE_COMMIT = "0dc3a2bd5cc5e7bd0b0c32b3a3f5d6e2b1b0a9f8"


class AdapterSpec(Spec):
    """A LoRA adapter of the model. Clients request it like a model, by its name."""

    source: SourceSpec = Field(description="The origin of its files.")
    revision: Revision = Field(
        description="The full 40-hex commit; `toolkit registry pin ADAPTER` writes it in the place of a branch.",
        examples=[EXAMPLE_COMMIT],
    )
    licence: Licence | None = Field(
        None, description="The id of its licence; the model's by default.", examples=["apache-2.0"]
    )
    base: OptionalText = Field(
        "",
        description="The base model that the adapter's own files name, where that is not the model's repository.",
        examples=["unsloth/Qwen2.5-7B-Instruct"],
    )
    checks: Checks = Field(
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
