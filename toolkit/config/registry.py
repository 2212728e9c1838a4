"""Read `model_registry.yaml` into `domain.model.Registry`; each fault is one InputError with its place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from toolkit.config.registry_faults import empty_value_fault, schema_fault, value_at
from toolkit.config.registry_fields import REVISION_PATTERN, normal_flag
from toolkit.config.registry_inheritance import REQUIRED, inherit, values_of
from toolkit.config.registry_schema import ModelSpec, RegistrySpec, VersionSpec
from toolkit.config.text_file import read_text
from toolkit.config.yaml_text import Where, YamlText, parse_yaml
from toolkit.domain.model import Model, Policy, Registry, Version, unknown

MAX_BYTES = 2**20
_REVISION = re.compile(REVISION_PATTERN.removesuffix("$") + r"\Z")


@dataclass(frozen=True, slots=True)
class RegistryFile:
    """A registry together with its text, for the commands that write into it.

    `unpinned` names the versions, as (model, version), whose revision is still a branch or tag.
    """

    document: YamlText
    registry: Registry
    unpinned: Mapping[tuple[str, str], str] = field(default_factory=dict)


def load_registry(path: Path) -> Registry:
    """Return the registry in the file `path`; raises InputError with `file:line:column`."""
    return read_registry(path).registry


def read_registry(path: Path, *, unpinned: bool = False) -> RegistryFile:
    """Return registry and text of the file `path`.

    With `unpinned`, revisions that still have to be pinned and models without versions are let
    through. Raises InputError for anything else that is wrong.
    """
    text = read_text(path, limit=MAX_BYTES, hint="toolkit registry init")
    return parse_registry(path, text, unpinned=unpinned)


def parse_registry(path: Path, text: str, *, unpinned: bool = False) -> RegistryFile:
    """Return registry and text; like `read_registry` for a text that was read already."""
    document = parse_yaml(path, text)
    if document.data is None or document.data == {}:
        raise document.fault((), "the registry is empty", hint="toolkit registry init")
    _check_values(document, unpinned=unpinned)
    try:
        spec = RegistrySpec.model_validate(document.data)
    except ValidationError as error:
        raise schema_fault(document, error) from None
    return _Reader(document, spec, unpinned=unpinned).read()


def _check_values(document: YamlText, *, unpinned: bool) -> None:
    if (
        unpinned
        and isinstance(document.data, dict)
        and isinstance(document.data.get("models"), dict)
    ):
        for model in document.data["models"].values():
            if isinstance(model, dict) and "versions" in model and model["versions"] is None:
                model["versions"] = {}
    fault = empty_value_fault(document)
    if fault:
        raise fault


class _Reader:
    """Turns the validated file into domain objects, and finds faults that span several fields."""

    def __init__(self, document: YamlText, spec: RegistrySpec, *, unpinned: bool) -> None:
        self.document = document
        self.spec = spec
        self.allow_unpinned = unpinned
        self.unpinned: dict[tuple[str, str], str] = {}
        self.directory = os.path.dirname(os.path.abspath(document.path))  # noqa: PTH100, PTH120 - links stay links

    def read(self) -> RegistryFile:
        models = {name: self._model(name, model) for name, model in self.spec.models.items()}
        policy = self._policy()
        return RegistryFile(
            self.document, Registry(models, policy, str(self.document.path)), self.unpinned
        )

    def _policy(self) -> Policy:
        rules = self.spec.policy.licences
        where: Where = ("policy", "licences")
        for index, licence in enumerate(rules.denied):
            if licence in rules.allowed or licence in rules.approved:
                raise self.document.fault(
                    (*where, "denied", index),
                    f"{licence!r} is denied here and allowed or approved above",
                    hint="keep one of the two",
                )
        for licence, names in rules.approved.items():
            for index, name in enumerate(names):
                if name not in self.spec.models:
                    error = unknown("model", name, list(self.spec.models), where="in this registry")
                    raise self.document.fault(
                        (*where, "approved", licence, index), error.message, hint=error.hint
                    )
        return Policy(
            tuple(rules.allowed),
            tuple(rules.denied),
            {licence: tuple(names) for licence, names in rules.approved.items()},
        )

    def _model(self, name: str, spec: ModelSpec) -> Model:
        where: Where = ("models", name)
        if not spec.versions and not self.allow_unpinned:
            raise self.document.fault(
                (*where, "versions"),
                f"{name!r} has no version",
                hint=f"toolkit registry pin {name}",
                at_key=True,
            )
        self._check_flags(where)
        base = values_of(spec, name, self.directory)
        if not spec.versions:
            self._require(where, name, base)
        versions = tuple(
            self._version(name, base, key, version) for key, version in spec.versions.items()
        )
        return Model(name, spec.description, versions)

    def _version(
        self, model: str, base: Mapping[str, Any], name: str, spec: VersionSpec
    ) -> Version:
        where: Where = ("models", model, "versions", name)
        self._check_flags(where)
        self._check_revision(where, model, name, spec)
        values = inherit(base, values_of(spec, model, self.directory))
        self._require(where, f"{model}@{name}", values)
        return Version(model=model, name=name, **values)

    def _require(self, where: Where, title: str, values: Mapping[str, Any]) -> None:
        """Raise the error for the first required field that neither the version nor its model has."""
        missing = next((name for name in REQUIRED if name not in values), None)
        if missing is not None:
            raise self.document.fault(
                where,
                f"{title} has no {missing!r}",
                hint=f"add `{missing}:` to the model or to the version; see docs/registry.md",
                at_key=True,
            )

    def _check_revision(self, where: Where, model: str, name: str, spec: VersionSpec) -> None:
        if _REVISION.match(spec.revision):
            return
        if self.allow_unpinned:
            self.unpinned[model, name] = spec.revision
            return
        shown = spec.revision if len(spec.revision) <= 60 else f"{spec.revision[:57]}..."
        raise self.document.fault(
            (*where, "revision"),
            f"revision {shown!r} is no full commit (40 of 0-9 a-f)",
            hint=f"toolkit registry pin {model} {_word(shown)}".rstrip(),
        )

    def _check_flags(self, where: Where) -> None:
        seen: dict[str, str] = {}
        for flag in value_at(self.document.data, where).get("serving", ()):
            first = seen.setdefault(normal_flag(flag), flag)
            if first != flag:
                raise self.document.fault(
                    (*where, "serving", flag),
                    f"{flag!r} and {first!r} are the same flag",
                    hint="keep one of the two",
                    at_key=True,
                )


def _word(text: str) -> str:
    """Return `text` if a shell takes it without quotes, else an empty text."""
    return text if re.match(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z", text) else ""
