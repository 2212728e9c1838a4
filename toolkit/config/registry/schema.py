"""The schema of `model_registry.yaml`. JSON Schema and `docs/registry.md` are generated from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from toolkit.config.registry.entry_parts import (
    EXAMPLE_COMMIT,
    AdapterSpec,
    Checks,
    EngineSpecFile,
    KindOf,
    LoraSpec,
    PermissionSpec,
    ResourcesSpec,
    SourceSpec,
)
from toolkit.config.registry.fields import (
    Alias,
    Duration,
    EnvName,
    Flag,
    FlagValue,
    Licence,
    Line,
    Name,
    OptionalText,
    Revision,
    normal_flags,
)
from toolkit.config.registry.guard import GuardField
from toolkit.config.registry.objectives import ObjectivesSpec
from toolkit.config.registry.part import Spec
from toolkit.domain.registry.model import Openness
from toolkit.domain.registry.release_parts import DEFAULT_HOLD
from toolkit.planning.engines.vllm_reserved import EXAMPLE_FLAG, EXAMPLE_VARIABLE


def _openness(value: str) -> Openness:
    # Not the class itself: pydantic cannot read an enumeration's signature from Python 3.12 on.
    return Openness(value)


class Entry(Spec):
    """Fields that a model sets for all its versions and each version may set for itself.

    A new one also needs a field of the same name in `domain.registry.model.Version`; see `inheritance`.
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
    checks: Checks | None = Field(
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
        examples=[{"qwen-sql": {"source": {"repo": "acme/qwen-sql"}, "revision": EXAMPLE_COMMIT}}],
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
