"""A hash-locked requirement set as text: `name==version` followed by the digests of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.domain.outside import shown

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.+!_-]+)$")
_HASH = re.compile(r"^--hash=sha256:(?P<digest>[0-9a-f]{64})$")


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package. Each of its files in use must have one of the digests `sha256` (hex)."""

    name: str
    version: str
    sha256: tuple[str, ...]

    @property
    def pin(self) -> str:
        """`torch==2.13.0+cpu`."""
        return f"{self.name}=={self.version}"


def parse_requirements(text: str) -> tuple[LockedPackage, ...]:
    """Return the packages of a lock's text, in its order.

    Raises ValueError, naming the line, for anything but pinned packages with sha256 digests.
    """
    packages: list[LockedPackage] = []
    for number, line in _joined_lines(text):
        pin, *digests = line.split()
        found = _PIN.match(pin)
        hashes = [_HASH.match(word) for word in digests]
        if found is None or not hashes or not all(hashes):
            raise ValueError(
                f"line {number}: not a pinned package with sha256 digests: {shown(pin)}"
            )
        sha256 = tuple(match["digest"] for match in hashes if match is not None)
        packages.append(LockedPackage(found["name"], found["version"], sha256))
    return tuple(packages)


def format_requirements(packages: Iterable[LockedPackage]) -> str:
    """Return the text of a lock: packages by name, digests sorted, equal sets as equal bytes."""
    entries = []
    for package in sorted(packages, key=lambda each: each.name):
        hashes = [f"    --hash=sha256:{digest}" for digest in sorted(set(package.sha256))]
        entries.append(" \\\n".join([package.pin, *hashes]) + "\n")
    return "".join(entries)


def _joined_lines(text: str) -> Iterable[tuple[int, str]]:
    start = 0
    parts: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not parts:
            start = number
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            whole = " ".join(parts).strip()
            if whole and not whole.startswith("#"):
                yield start, whole
            parts = []
    if parts:
        yield start, " ".join(parts).strip()
