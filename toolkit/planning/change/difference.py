"""The differences between the release that serves and the one that a command wants, line by line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

from toolkit.domain.deployment.change import Change
from toolkit.domain.deployment.release import Release, ReleaseAdapter
from toolkit.domain.excerpt import excerpts, marked
from toolkit.domain.quantity import written_size
from toolkit.domain.registry.release_parts import Check

# A variable or an option that is named like this may hold a secret, and is shown by its digest.
_SECRET = re.compile(r"(^|[-_])(token|secret|password|passwd|key)$", re.IGNORECASE)


def release_changes(before: Release | None, after: Release) -> tuple[Change, ...]:
    """Return the differences from the release `before` to `after`; none where no release serves yet.

    Files within the snapshot are compared elsewhere, because a release knows only their digest.
    """
    if before is None:
        return ()
    return tuple(
        Change(subject, *shown_pair(subject, old, new))
        for subject, old, new in _pairs(before, after)
        if old != new
    )


def shown_pair(name: str, old: str, new: str) -> tuple[str, str]:
    """Return two different values of an option or a variable as a plan shows them: cut to a line where they differ.

    A secret is shown by its digest.
    """
    if _SECRET.search(name):
        return _digest(old), _digest(new)
    plain = printable(old), printable(new)
    if plain[0] != plain[1]:
        return excerpts(*plain)
    # The values differ in spaces or in characters that no terminal shows.
    return _marked(old), _marked(new)


def printable(value: str) -> str:
    """Return a value in one line: the words of a host may hold characters that command a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(value.split()))


def _marked(value: str) -> str:
    """Return a value in one line, with its digest."""
    return marked(printable(value), value) if value else ""


def _digest(value: str) -> str:
    return f"sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]}" if value else ""


def _pairs(before: Release, after: Release) -> Iterator[tuple[str, str, str]]:
    yield "version", before.version, after.version
    yield "repository", before.source, after.source
    yield "revision", before.revision[:12], after.revision[:12]
    if before.revision == after.revision:
        # The same commit with other files: another choice of files, or another part of the repository.
        yield "files", before.snapshot[:12], after.snapshot[:12]
    yield "engine", before.engine, after.engine
    yield "accelerator", before.accelerator, after.accelerator
    yield "devices", str(before.devices), str(after.devices)
    if before.memory != after.memory:
        yield "memory", written_size(before.memory), written_size(after.memory)
    yield from _each(arguments(before.args), arguments(after.args))
    yield from _each(before.env, after.env)
    yield "routing", before.routing, after.routing
    if before.does and after.does:
        # Releases of an older toolkit do not say it.
        yield "what it can do", ", ".join(before.does.words), ", ".join(after.does.words)
    yield "other names", ", ".join(before.aliases), ", ".join(after.aliases)
    yield "hosts of a replica", _span(before), _span(after)
    yield from _each(_adapters(before), _adapters(after))
    yield from _inside_adapters(before, after)
    yield "checks", _checks(before.checks), _checks(after.checks)


def _each(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in sorted(before.keys() | after.keys()):
        yield name, before.get(name, ""), after.get(name, "")


def arguments(words: tuple[str, ...]) -> dict[str, str]:
    """Return the arguments of an engine by name; one without a value is `set`."""
    found: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            found[name] = value if equals else ""
        elif name:
            found[name] = f"{found[name]} {word}".strip()
    return {flag: value or "set" for flag, value in found.items()}


def _span(release: Release) -> str:
    span = release.span
    if span is None:
        return "1"
    return f"{span.size}: {', '.join(span.hosts)}" if span.hosts else str(span.size)


def _adapters(release: Release) -> dict[str, str]:
    return {f"adapter {each.name}": _adapter(each) for each in release.adapters}


def _adapter(adapter: ReleaseAdapter) -> str:
    return f"{adapter.source}@{adapter.revision[:12]}"


def _inside_adapters(before: Release, after: Release) -> Iterator[tuple[str, str, str]]:
    """Yield the fields that may differ in adapters of both releases: name, value before, value after."""
    known = {each.name: each for each in before.adapters}
    for new in after.adapters:
        old = known.get(new.name)
        if old is None:
            continue
        if old.revision == new.revision:
            yield f"adapter {new.name}: files", old.snapshot[:12], new.snapshot[:12]
        yield f"adapter {new.name}: checks", _checks(old.checks), _checks(new.checks)


def _checks(checks: tuple[Check, ...]) -> str:
    if not checks:
        return ""
    text = json.dumps([each.as_json() for each in checks], sort_keys=True)
    count = f"{len(checks)} check{'s' if len(checks) != 1 else ''}"
    return f"{count}, {hashlib.sha256(text.encode()).hexdigest()[:8]}"
