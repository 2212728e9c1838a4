"""A hub, a store and a version, for pulls."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.store.hashing import digest_file
from toolkit.adapters.store.store import Store
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.registry.model import HubSource, Openness, Policy, Resources, Version
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.workflows.files.pull import Pulled, pull

REPO = "acme/tiny"


WEIGHTS = bytes(range(256)) * 10_000


FILES = {"config.json": b"{}", "tok/en.json": b"[]", "model.safetensors": WEIGHTS}


POLICY = Policy(allowed=("mit",))


@dataclass
class Report:
    """Collects what a pull tells."""

    notes: list[str] = field(default_factory=list)
    begun: tuple[str, int, int] | None = None
    bytes: dict[str, int] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    ended: int = 0
    interrupt_at: str = ""

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(self, title: str, files: int, size: int) -> None:
        self.begun = (title, files, size)

    def advance(self, path: str, size: int) -> None:
        self.bytes[path] = self.bytes.get(path, 0) + size

    def file_done(self, path: str, size: int) -> None:
        self.done.append(path)

    def end(self) -> None:
        self.ended += 1


class World:
    """A hub, a store, and the version that pins what the hub has."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.hub = FakeHub()
        self.store = Store(place / "store")
        self.opened = 0
        self.report = Report()
        self.version, self.snapshot = self.pin(FILES, "1")

    def pin(self, files: dict[str, bytes], name: str) -> tuple[Version, Snapshot]:
        revision = self.hub.publish(REPO, files)
        version = Version(
            "tiny",
            name,
            HubSource(REPO),
            revision,
            "mit",
            Openness.FULLY_OPEN,
            EngineSpec("vllm", "0.32.0"),
            Resources((Accelerator.CPU,), 2**30),
        )
        digests = digests_of(self.place / f"origin-{name}", files)
        return version, Snapshot(REPO, revision, digests)

    def pull(self, version: Version | None = None, snapshot: Snapshot | None = None) -> Pulled:
        self.report = Report()
        return pull(
            version or self.version,
            snapshot or self.snapshot,
            self.store,
            self.open_hub,
            POLICY,
            self.report,
            clock=lambda: 1000.0,
        )

    def open_hub(self) -> FakeHub:
        self.opened += 1
        return self.hub

    def litter(self) -> list[str]:
        places = (self.store.partial, self.store.staging, self.store.quarantined)
        return sorted(p.name for place in places if place.exists() for p in place.iterdir())


def digests_of(place: Path, files: dict[str, bytes]) -> tuple[FileDigest, ...]:
    found = []
    for path, content in sorted(files.items()):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
        found.append(digest_file(place / path, path))
    return tuple(found)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
