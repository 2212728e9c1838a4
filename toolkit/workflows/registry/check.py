"""Check the registry against policy, directories and the lock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.adapters.sources.directory import directory_files, require_files
from toolkit.config.registry.lock_file import Lock, lock_path, read_lock
from toolkit.config.registry.reading import (
    RegistryFile,
    parse_registry,
    read_registry_text,
    registry_faults,
)
from toolkit.config.yaml_text import Where
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.files.snapshot import content_revision
from toolkit.domain.gates.golden import GoldenPrompt
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.model import LocalSource, Policy, Registry, Version, parts_of
from toolkit.errors import InputError, SourceError
from toolkit.planning.guard.checks import TEXTS
from toolkit.planning.release.adapter_files import files_of
from toolkit.planning.release.build import checks_of
from toolkit.planning.release.capabilities import (
    ASKED,
    UNASKED,
    answers,
    capabilities,
    kind_of,
    of_tokens,
    unread,
)
from toolkit.planning.release.licence_policy import licence_verdict
from toolkit.workflows.guard.files import check_files, require_askable
from toolkit.workflows.registry.pin import place_of


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark about a version, or about a `place` (`file:line:column`) of the registry's text.

    A `fault` has to be corrected; `hint` says how.
    """

    version: str
    fault: bool
    message: str
    hint: str = ""
    place: str = ""

    @property
    def words(self) -> str:
        """The place, the version and the message, as far as there are such."""
        return ": ".join(filter(None, (self.place, self.version, self.message)))


@dataclass(frozen=True, slots=True)
class Checked:
    """A registry, its lock, and the findings about both; without models where its text has faults."""

    registry: Registry
    lock: Lock
    findings: tuple[Remark, ...]

    @property
    def faults(self) -> tuple[Remark, ...]:
        """The findings that have to be corrected."""
        return tuple(finding for finding in self.findings if finding.fault)


def check_registry(registry_path: Path) -> Checked:
    """Check the text of the registry, and every version and adapter against policy, its directory and the lock.

    All faults are findings. Raises InputError where the registry's file cannot be read at all.
    """
    text = read_registry_text(registry_path)
    lock, of_lock = _lock(registry_path)
    faults = registry_faults(registry_path, text)
    if faults:
        wrong = [
            Remark("", True, fault.message, fault.hint, fault.place(registry_path))
            for fault in faults
        ]
        return Checked(Registry({}, Policy(), str(registry_path)), lock, (*wrong, *of_lock))
    file = parse_registry(registry_path, text)
    registry, guards = file.registry, _Guards(lock)
    findings = [
        replace(finding, place=_place(file, part))
        for version in registry.versions
        for part in version.parts
        for finding in _check(part, registry, lock)
    ]
    findings += [
        replace(finding, place=_place(file, part))
        for version in registry.versions
        for part in version.parts
        for finding in guards.check(part)
    ]
    return Checked(registry, lock, (*findings, *of_lock, *_unused(registry, lock)))


def _lock(registry_path: Path) -> tuple[Lock, tuple[Remark, ...]]:
    """Return the lock and no finding; an empty lock and a fault where the lock cannot be read."""
    try:
        return read_lock(registry_path), ()
    except InputError as error:
        found = Remark("", True, error.message, error.hint)
        return Lock(lock_path(registry_path), {}), (found,)


def _place(file: RegistryFile, version: Version) -> str:
    where: Where = ("models", version.model, "versions", version.name)
    if version.adapter_of:
        base, _ = file.registry.adapters(version.model)[-1]
        where = place_of(file, base, version.model)
    return file.document.found(where, "", at_key=True).place(file.document.path)


def _check(version: Version, registry: Registry, lock: Lock) -> Iterator[Remark]:
    verdict = licence_verdict(version, registry.policy)
    if not verdict.allowed:
        yield Remark(version.title, True, verdict.reason, verdict.hint)
    locked = lock.has(version)
    if not locked:
        yield Remark(
            version.title,
            False,
            "its files are not pinned yet",
            f"toolkit registry pin {version.title} --lock-only",
        )
    else:
        yield from _check_lock(version, lock)
        yield from _check_abilities(version, lock)
    if isinstance(version.source, LocalSource):
        yield from _check_directory(version, version.source, lock if locked else None)


class _Guards:
    """The files that guards name; those of many versions are read once."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._read: dict[Guard, InputError | tuple[GoldenPrompt, ...]] = {}

    def check(self, version: Version) -> Iterator[Remark]:
        try:
            require_askable(self._prompts(version.guard), self._able(version))
        except InputError as fault:
            yield Remark(version.title, True, fault.message, fault.hint)

    def _prompts(self, guard: Guard) -> tuple[GoldenPrompt, ...]:
        if guard not in self._read:
            try:
                self._read[guard] = check_files(guard)
            except InputError as error:
                self._read[guard] = error
        found = self._read[guard]
        if isinstance(found, InputError):
            raise found
        return found

    def _able(self, version: Version) -> Capabilities | None:
        known = not version.adapter_of and self._lock.has(version)
        return capabilities(version, self._lock.snapshot_of(version).facts) if known else None


def _check_lock(version: Version, lock: Lock) -> Iterator[Remark]:
    files = lock.snapshot_of(version).files
    choice = files_of(version, (file.path for file in files))
    again = f"toolkit registry pin {version.title} --lock-only"
    for path, reason in choice.left_out.items():
        yield Remark(version.title, True, f"the lock holds {path}: {reason}", again)
    if choice.refusal:
        yield Remark(version.title, True, f"the lock: {choice.refusal}", choice.hint)
    if isinstance(version.source, LocalSource) and content_revision(files) != version.revision:
        yield Remark(version.title, True, "the lock does not hold what the revision names", again)


def _check_abilities(version: Version, lock: Lock) -> Iterator[Remark]:
    """Yield the abilities that clients will miss, and checks that do not fit the kind. An adapter is as its base."""
    if version.adapter_of:
        return
    facts = lock.snapshot_of(version).facts
    if facts is None:
        yield Remark(
            version.title,
            False,
            "an older toolkit pinned it, so its lock does not say what it can do",
            f"toolkit registry pin {version.title} --lock-only",
        )
        return
    if what := of_tokens(version, facts):
        yield Remark(version.title, True, f"it {UNASKED.format(what)}", ASKED)
        return
    for name, flag in unread(version, facts).items():
        yield Remark(
            version.title,
            False,
            f"its chat template has {name}, and this toolkit knows no parser for its family",
            f"write `{flag}: NAME` under `serving`; toolkit registry show {version.title}",
        )
    kind = kind_of(version, facts)
    able = capabilities(version, facts)
    for check in checks_of(version.checks, None, kind):
        if able and not answers(able, Kind(check.kind)):
            yield Remark(
                version.title,
                True,
                f"a check asks for {check.kind}, and the model does {kind}",
                "remove the `kind` of the check, or write the kind of the model as `kind`",
            )
            continue
        if check.contains and check.kind not in TEXTS:
            yield Remark(
                version.title,
                True,
                f"an answer of kind {kind} has no text to contain {check.contains!r}",
                "remove `contains`, or write the kind of the model as `kind`",
            )


def _check_directory(version: Version, source: LocalSource, lock: Lock | None) -> Iterator[Remark]:
    root = Path(source.path)
    try:
        kept = files_of(version, directory_files(root)).kept
        require_files(root, kept)
    except SourceError as error:
        yield Remark(version.title, True, error.message, error.hint)
        return
    if lock is None:
        return
    pinned = {file.path: file.size for file in lock.snapshot_of(version).files}
    there = {path: (root / path).stat().st_size for path in kept}
    for path in sorted(pinned.keys() | there.keys()):
        if pinned.get(path) != there.get(path):
            yield Remark(
                version.title,
                False,
                f"{source.path} has changed since it was pinned, see {path}",
                f"toolkit registry pin {version.model}",
            )
            return


def _unused(registry: Registry, lock: Lock) -> Iterator[Remark]:
    named = {(part.source.key, part.revision) for part in parts_of(registry.versions)}
    for source, revision in sorted(set(lock.snapshots) - named):
        yield Remark(
            f"{source}@{revision[:12]}", False, "the lock holds it and no version names it"
        )
