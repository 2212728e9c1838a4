"""Faults that span several fields of the registry. They are found in the raw data, beside faults of the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.config.registry.adapters import adapter_faults, blocks_of, is_pinned
from toolkit.config.registry.aliases import alias_faults
from toolkit.config.registry.fields import (
    ENV_PATTERN,
    FLAG_PATTERN,
    NAME_PATTERN,
    normal_flag,
)
from toolkit.config.registry.inheritance import REQUIRED
from toolkit.config.registry.places import mapping
from toolkit.config.registry.schema import ModelSpec, VersionSpec
from toolkit.config.yaml_text import TextFault, Where, YamlText
from toolkit.domain.engines.engine import VERSION_PATTERN
from toolkit.domain.excerpt import excerpt
from toolkit.domain.registry.model import unknown
from toolkit.planning.engines.vllm_rules import flag_fault, permission_fault, variable_fault
from toolkit.planning.engines.vllm_values import OptionFault


def full(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern; its end is the end of the text, not the end of a line."""
    return re.compile(pattern.removesuffix("$") + r"\Z")


_ENGINE = full(VERSION_PATTERN)
_FLAG = full(FLAG_PATTERN)
_VARIABLE = full(ENV_PATTERN)
_NAME = full(NAME_PATTERN)
_FIELDS = ModelSpec.model_fields.keys() | VersionSpec.model_fields.keys()


def spanning_faults(document: YamlText, *, unpinned: bool) -> Iterator[TextFault]:
    """Yield the faults in policy, models and versions; with `unpinned`, revisions may still be branches or tags.

    Parts of another shape than the schema's are left to the schema.
    """
    data = mapping(document.data)
    yield from _policy(document, data)
    for name, model in mapping(data.get("models")).items():
        if isinstance(model, dict):
            yield from _Model(document, str(name), model, unpinned=unpinned).faults()
    yield from adapter_faults(document, unpinned=unpinned)
    yield from alias_faults(document)


class _Model:
    def __init__(
        self, document: YamlText, name: str, data: Mapping[str, Any], *, unpinned: bool
    ) -> None:
        self.document = document
        self.name = name
        self.data = data
        self.where: Where = ("models", name)
        self.unpinned = unpinned

    def faults(self) -> Iterator[TextFault]:
        versions = self.data.get("versions", {})
        yield from self._equal_flags(self.where, self.data)
        if versions in ({}, None):
            if self.unpinned:
                yield from self._version(self.where, self.name, {})
            else:
                yield self.document.found(
                    (*self.where, "versions"),
                    f"{self.name!r} has no version",
                    hint=f"toolkit registry pin {self.name}",
                    at_key=True,
                )
        for key, version in mapping(versions).items():
            if isinstance(version, dict):
                where = (*self.where, "versions", key)
                yield from self._equal_flags(where, version)
                yield from self._revision(where, version.get("revision"))
                yield from self._version(where, f"{self.name}@{key}", version)

    def _version(self, where: Where, title: str, own: Mapping[str, Any]) -> Iterator[TextFault]:
        # A name that the schema does not know may be the missing one, mistyped.
        mistyped = not (self.data.keys() | own.keys()) <= _FIELDS
        for field in () if mistyped else REQUIRED:
            if field not in self.data and field not in own:
                yield self.document.found(
                    where,
                    f"{title} has no {field!r}",
                    hint=f"add `{field}:` to the model or to the version; see docs/registry.md",
                    at_key=True,
                )
        engine = mapping(own.get("engine", self.data.get("engine"))).get("version")
        if isinstance(engine, str) and _ENGINE.match(engine):
            yield from self._options(where, own, engine)

    def _options(self, where: Where, own: Mapping[str, Any], engine: str) -> Iterator[TextFault]:
        permitted = []
        for index, name in enumerate(_list(mapping(own.get("permission")).get("options"))):
            if isinstance(name, str):
                permitted.append(name if name.isupper() else normal_flag(name))
                fault = permission_fault(engine, permitted[-1])
                yield from self._found((*where, "permission", "options", index), fault)
        for place, name, value in self._merged(where, own, "serving"):
            if _FLAG.match(name) and _is_plain(value):
                yield from self._found(place, flag_fault(engine, name, value, permitted))
        for place, name, value in self._merged(where, own, "env"):
            if _VARIABLE.match(name) and isinstance(value, str):
                yield from self._found(place, variable_fault(engine, name, value, permitted))

    def _merged(
        self, where: Where, own: Mapping[str, Any], part: str
    ) -> Iterator[tuple[Where, str, Any]]:
        """Yield place, name and value of the entries that count for a version: its own ones win."""
        entries = {
            normal_flag(name): ((*self.where, part, name), name, value)
            for name, value in mapping(self.data.get(part)).items()
        }
        for name, value in mapping(own.get(part)).items():
            entries[normal_flag(name)] = ((*where, part, name), name, value)
        yield from entries.values()

    def _found(self, where: Where, fault: OptionFault | None) -> Iterator[TextFault]:
        if fault is not None:
            at_key = not fault.at_value and isinstance(where[-1], str)
            hint = fault.hint or "see docs/registry.md"
            yield self.document.found(where, fault.message, hint=hint, at_key=at_key)

    def _revision(self, where: Where, revision: Any) -> Iterator[TextFault]:
        if not isinstance(revision, str) or is_pinned(revision) or self.unpinned:
            return
        shown = excerpt(revision)
        yield self.document.found(
            (*where, "revision"),
            f"revision {shown!r} is no full commit (40 of 0-9 a-f)",
            hint=f"toolkit registry pin {self.name} {_word(shown)}".rstrip(),
        )

    def _equal_flags(self, where: Where, data: Mapping[str, Any]) -> Iterator[TextFault]:
        seen: dict[str, str] = {}
        for flag in mapping(data.get("serving")):
            # Keys after a dot replace the whole of the flag's JSON.
            head = normal_flag(flag).partition(".")[0]
            first = seen.get(head, seen.get(normal_flag(flag), flag))
            seen[normal_flag(flag)] = flag
            if "." in flag:
                seen.setdefault(f"{head}.", flag)
            else:
                first = seen.get(f"{head}.", first)
            if first != flag:
                yield self.document.found(
                    (*where, "serving", flag),
                    f"{flag!r} and {first!r} are the same flag",
                    hint="keep one of the two",
                    at_key=True,
                )


def _policy(document: YamlText, data: Mapping[str, Any]) -> Iterator[TextFault]:
    rules = mapping(mapping(data.get("policy")).get("licences"))
    where: Where = ("policy", "licences")
    approved = mapping(rules.get("approved"))
    for index, licence in enumerate(_list(rules.get("denied"))):
        if licence in [*_list(rules.get("allowed")), *approved]:
            yield document.found(
                (*where, "denied", index),
                f"{licence!r} is denied here and allowed or approved above",
                hint="keep one of the two",
            )
    entries = mapping(data.get("models"))
    models = [str(name) for name in entries]
    # An adapter has a licence of its own, so it may be approved by its name.
    models += [
        name for model in entries for _, name, _ in blocks_of(str(model), mapping(entries[model]))
    ]
    # A model with a wrong name may be the one that is meant.
    sure = bool(models) and all(map(_NAME.match, models))
    for licence, names in approved.items() if sure else ():
        for index, name in enumerate(_list(names)):
            if isinstance(name, str) and name not in models:
                error = unknown("model", name, models, where="in this registry")
                yield document.found(
                    (*where, "approved", licence, index), error.message, hint=error.hint
                )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_plain(value: Any) -> bool:
    """Whether a serving option's value has a shape that the schema takes."""
    each = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float | bool) for item in each)


def _word(text: str) -> str:
    """Return `text` if a shell takes it without quotes, else an empty text."""
    return text if re.match(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z", text) else ""
