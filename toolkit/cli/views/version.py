"""A version of the registry: its rows, its words in a table, and its JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from toolkit.config.registry.lock_file import Lock
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.quantity import format_size, written_size
from toolkit.domain.registry.model import Registry, Version
from toolkit.planning.guard.words import guard_words
from toolkit.planning.release.capabilities import capabilities
from toolkit.planning.release.licence_policy import licence_verdict


def version_rows(found: Registry, lock: Lock, version: Version) -> list[tuple[str, str]]:
    """Return all about a version as rows of (name, value)."""
    files = lock.snapshot_of(version) if lock.has(version) else None
    pinned = f"{len(files.files)} files, {format_size(files.size)}" if files else "no files yet"
    checks = [
        f"{check.prompt!r} -> {check.contains!r}"
        if check.kind in ("", "chat")
        else f"{check.kind} of {check.prompt!r}"
        for check in version.checks
    ]
    rows: list[tuple[str, str]] = [
        ("source", version.source.key),
        ("revision", version.revision),
        ("pinned", pinned),
        ("licence", licence_words(found, version)),
        ("openness", str(version.openness)),
        *([("candidate", "yes; deployed by its name alone")] if version.candidate else []),
        ("engine", f"{version.engine.name} {version.engine.version}"),
        ("needs", needs_words(version)),
        *_able_rows(lock, version),
        *((f"--{flag}", _shown(value)) for flag, value in version.serving.items()),
        *version.env.items(),
        *(("check", check) for check in checks),
        *guard_words(version.guard),
        *(("adapter", _adapter_words(found, lock, part)) for part in version.parts[1:]),
    ]
    if version.permission.reason:
        what = ", ".join(version.permission.allowed)
        rows.append(("permission", f"{what}: {version.permission.reason}"))
    return rows


def licence_words(found: Registry, version: Version) -> str:
    """Return the licence of a version, and whether the policy of the registry refuses it."""
    allowed = licence_verdict(version, found.policy).allowed
    return version.licence if allowed else f"{version.licence} (refused)"


def version_name(version: Version) -> str:
    """Return the name of a version, and whether it is a candidate."""
    return f"{version.name} (candidate)" if version.candidate else version.name


def _adapter_words(found: Registry, lock: Lock, part: Version) -> str:
    pinned = "" if lock.has(part) else ", no files yet"
    guard = "".join(f", {name}: {words}" for name, words in guard_words(part.guard))
    return f"{part.title}  {part.source.key}  {licence_words(found, part)}{pinned}{guard}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def needs_words(version: Version) -> str:
    """Return a version's needs of a host: an accelerator, devices, memory."""
    needs = version.resources
    devices = f"{needs.devices} devices, " if needs.devices > 1 else ""
    return f"{' or '.join(needs.accelerators)}, {devices}{written_size(needs.memory)}"


def _adapter_json(found: Registry, lock: Lock, version: Version) -> list[dict[str, Any]]:
    return [
        {
            "name": part.model,
            "source": part.source.key,
            "revision": part.revision,
            "licence": part.licence,
            "base": adapter.base,
            "checks": [check.as_json() for check in part.checks],
            "guard": part.guard.as_json(),
            "licence_allowed": licence_verdict(part, found.policy).allowed,
            "pinned": _pinned_json(lock, part),
        }
        for adapter, part in zip(version.adapters, version.parts[1:], strict=True)
    ]


def _pinned_json(lock: Lock, version: Version) -> dict[str, int] | None:
    if not lock.has(version):
        return None
    files = lock.snapshot_of(version)
    return {"files": len(files.files), "size": files.size}


def version_json(found: Registry, lock: Lock, version: Version) -> dict[str, Any]:
    """Return what `--json` prints of a version."""
    verdict = licence_verdict(version, found.policy)
    fields = asdict(version)
    del fields["adapter_of"]
    return {
        **fields,
        "source": version.source.key,
        "adapters": _adapter_json(found, lock, version),
        "checks": [check.as_json() for check in version.checks],
        "guard": version.guard.as_json(),
        "licence_allowed": verdict.allowed,
        "does": able.as_json() if (able := _able(lock, version)) else None,
        "pinned": _pinned_json(lock, version),
    }


def _able(lock: Lock, version: Version) -> Capabilities | None:
    facts = lock.snapshot_of(version).facts if lock.has(version) else None
    return capabilities(version, facts)


def _able_rows(lock: Lock, version: Version) -> list[tuple[str, str]]:
    """Return the abilities of a version, and its parsers for them, as rows of `show`."""
    able = _able(lock, version)
    if able is None:
        return []
    named = {"tools read by": able.tool_parser, "thoughts read by": able.reasoning_parser}
    context = [("context", f"{able.context:,} tokens")] if able.context else []
    parsers = [(name, parser) for name, parser in named.items() if parser]
    return [("does", ", ".join(able.words)), *context, *parsers]
