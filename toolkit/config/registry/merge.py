"""Cut a registry down to some versions for a bundle, and merge the cut one into another registry."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

from toolkit.config.registry.edit import end_with_comments, insert_lines, insert_version, proved
from toolkit.config.registry.inheritance import written_out
from toolkit.config.registry.lock_file import Lock
from toolkit.config.registry.reading import RegistryFile, parse_registry
from toolkit.config.yaml_dump import dump_yaml
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.registry.model import Version
from toolkit.errors import InputError, IntegrityError, RefusedError

_ELSEWHERE = "load into another file: --registry FILE"
_HEAD = "# The versions of a bundle, written by `toolkit bundle create`.\n"


def cut_registry(file: RegistryFile, versions: Iterable[Version]) -> str:
    """Return the text of a registry with these versions alone, in their order in `file`.

    Its policy is that of `file`, without approvals of models that are not in it.
    """
    wanted = {(version.model, version.name) for version in versions}
    data = copy.deepcopy(file.document.data)
    data["models"] = {
        name: {
            **model,
            "versions": {
                key: spec for key, spec in model["versions"].items() if (name, key) in wanted
            },
        }
        for name, model in data["models"].items()
        if any(name == each for each, _ in wanted)
    }
    approved = data.get("policy", {}).get("licences", {}).get("approved")
    if approved is not None:
        kept = {
            licence: [name for name in names if name in data["models"]]
            for licence, names in approved.items()
        }
        data["policy"]["licences"]["approved"] = {
            key: names for key, names in kept.items() if names
        }
    text = _HEAD + dump_yaml(data)
    cut = parse_registry(file.document.path, text)
    same = {(each.model, each.name): each for each in cut.registry.versions}
    if same.keys() != wanted or any(
        same[key] != file.registry.models[key[0]].version(key[1]) for key in wanted
    ):
        raise InputError(
            f"{file.document.path} cannot be cut down to {', '.join(map('@'.join, wanted))}",
            hint="toolkit registry check",
        )
    return text


@dataclass(frozen=True, slots=True)
class Merged:
    """A registry after a merge, and the versions, as `model@version`, that are new in it."""

    file: RegistryFile
    added: tuple[str, ...]


def merge_registry(target: RegistryFile, incoming: RegistryFile) -> Merged:
    """Return `target` with the versions of `incoming` that it lacks, by inserted lines alone.

    The target's policy and models stay as they are. Raises RefusedError where it has a version of
    the same name that says something else, InputError where its text has no place for lines.
    """
    _refuse_changes(target, incoming)
    merged, added = target, []
    for name, model in incoming.registry.models.items():
        if name not in merged.registry.models:
            merged = _with_model(merged, name, incoming.document.data["models"][name])
            added += [version.title for version in model.versions]
            continue
        known = {version.name for version in merged.registry.models[name].versions}
        for version in model.versions:
            if version.name not in known:
                merged = _with_version(merged, incoming, version)
                added.append(version.title)
    return Merged(merged, tuple(added))


def merge_lock(target: Lock, incoming: Iterable[Snapshot]) -> Lock:
    """Return the lock with the snapshots of `incoming` in it.

    Raises IntegrityError where a file has other bytes than those pinned here, RefusedError where
    another choice of files is pinned here.
    """
    lock = target
    for snapshot in incoming:
        title = f"{snapshot.source}@{snapshot.revision[:12]}"
        here = lock.snapshots.get((snapshot.source, snapshot.revision))
        if here is None:
            lock = lock.plus(snapshot)
        elif here.digest != snapshot.digest:
            mine = {file.path: file.sha256 for file in here.files}
            theirs = {file.path: file.sha256 for file in snapshot.files}
            other = sorted(path for path in mine.keys() & theirs if mine[path] != theirs[path])
            if other:
                raise IntegrityError(
                    f"the bundle has other bytes of {title} than {target.path} pins: "
                    f"{', '.join(other)}",
                    hint="one of the two is not what the Hub has; do not use either before you know",
                )
            raise RefusedError(
                f"{target.path} pins another choice of files of {title}: "
                f"{', '.join(sorted(mine.keys() ^ theirs.keys()))}",
                hint="make the bundle with the same permission as here",
            )
        elif here.facts is None and snapshot.facts is not None:
            # An older toolkit did not read these facts, and a site without a Hub learns them from a bundle alone.
            lock = lock.plus(snapshot)
    return lock


def _refuse_changes(target: RegistryFile, incoming: RegistryFile) -> None:
    conflicts = []
    for name, model in incoming.registry.models.items():
        here = target.registry.models.get(name)
        known = {version.name: version for version in here.versions} if here else {}
        for version in model.versions:
            if version.name not in known:
                continue
            # Whether it is a candidate each site decides for itself: it is none once it was live there.
            mine = replace(known[version.name], candidate=version.candidate)
            differing = _differing(mine, version)
            if differing:
                conflicts.append(f"{version.title}: {', '.join(differing)}")
    if conflicts:
        raise RefusedError(
            f"{target.document.path} says something else of versions in the bundle:\n  "
            + "\n  ".join(conflicts),
            hint="a pinned version is never changed; give yours, or the bundle's, another name, "
            "or load into another file: --registry FILE",
        )


def _differing(mine: Version, theirs: Version) -> list[str]:
    """Return the fields that differ. The place of a directory on the ops machine does not count."""
    if mine.source.key == theirs.source.key:
        theirs = replace(theirs, source=mine.source)
    return [
        field.name
        for field in fields(Version)
        if getattr(mine, field.name) != getattr(theirs, field.name)
    ]


def _with_model(file: RegistryFile, name: str, spec: Mapping[str, Any]) -> RegistryFile:
    document = file.document
    models = document.data["models"]
    if document.spans[("models",)].flow or not models:
        raise document.fault(
            ("models",),
            f"no lines for {name!r} can be inserted here",
            hint="write the models as indented lines, or load into another file: --registry FILE",
            at_key=True,
        )
    last = document.spans[("models", list(models)[-1])]
    indent = document.spans[("models", next(iter(models)))].key_column - 1
    after = end_with_comments(document.text, last.end_line, indent + 1)
    lines = ["", *_lines({name: spec}, indent)]
    expected = copy.deepcopy(document.data)
    expected["models"][name] = copy.deepcopy(spec)
    text = insert_lines(document.text, after, lines)
    return proved(file, text, expected, name, _ELSEWHERE)


def _with_version(file: RegistryFile, incoming: RegistryFile, version: Version) -> RegistryFile:
    """Insert a version so that it means the same under the target's model as under the bundle's."""
    model = incoming.document.data["models"][version.model]
    own = model["versions"][version.name]
    # The version's own lines suffice where the target's model gives the same fields as the bundle's model.
    with suppress(InputError):
        merged, differing = _inserted(file, version, own)
        if not differing:
            return merged
    merged, differing = _inserted(file, version, written_out(model, own))
    if differing:
        raise RefusedError(
            f"{version.title} cannot be added to {file.document.path}: its model there sets "
            f"{', '.join(differing)} for all versions",
            hint="take that out of the model there, or load into another file: --registry FILE",
        )
    return merged


def _inserted(
    file: RegistryFile, version: Version, spec: Mapping[str, Any]
) -> tuple[RegistryFile, list[str]]:
    """Return the registry with `spec` as the last version, and the fields in which that is not `version`."""
    merged = insert_version(
        file,
        version.model,
        version.name,
        spec,
        lambda place: _lines({version.name: spec}, place.indent),
        _ELSEWHERE,
    )
    return merged, _differing(merged.registry.version(version.title), version)


def _lines(data: Mapping[str, Any], indent: int) -> list[str]:
    return [f"{' ' * indent}{line}".rstrip() for line in dump_yaml(data).splitlines()]
