"""Two ops machines for tests of bundles: one with models and engine packages, one with nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.adapters.test_engine_packages import make_wheel
from tests.silent import Silent
from toolkit.adapters.distribution.swarm_library import Wheels
from toolkit.adapters.engines.wheelhouse import Wheelhouse
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.store.compiled import CompiledTrees
from toolkit.adapters.store.store import Store
from toolkit.config.engine_locks import read_lock, read_locks
from toolkit.config.registry.lock_file import read_lock as read_registry_lock
from toolkit.config.registry.reading import read_registry
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.workflows.files.bundle import create_bundle
from toolkit.workflows.files.bundle_assembly import BundleSpec, BundleTools
from toolkit.workflows.files.bundle_load import (
    Bundle,
    LoadPlan,
    LoadSite,
    load_bundle,
    open_bundle,
)
from toolkit.workflows.registry.pin import pin_version

WEIGHTS = bytes(range(256)) * 4096
FILES = {
    "config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "LICENSE": b"Do what you like.\n",
}
REGISTRY = """\
policy:
  licences:
    allowed: [mit]
    approved: {odd: [other]}
models:
  tiny:
    description: A tiny model
    licence: mit
    openness: open-weights
    source: {path: ./tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 1GiB}
    serving: {max-model-len: 512}
  other:
    licence: odd
    openness: fully-open
    source: {repo: acme/other}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 1GiB}
"""


@dataclass
class Office:
    """An ops machine below `place`: registry, store, wheelhouse, engine locks."""

    place: Path
    hub: FakeHub = field(default_factory=FakeHub)
    clock: float = 1_700_000_000.0
    # No wheel of libtorrent, so that none is asked for.
    libraries: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.place / "home"

    @property
    def registry(self) -> Path:
        return self.place / "model_registry.yaml"

    @property
    def store(self) -> Store:
        return Store(self.home / "store")

    @property
    def wheelhouse(self) -> Wheelhouse:
        return Wheelhouse(self.home)

    def stock(self) -> None:
        """Write the registry, pin `tiny@v1`, `tiny@v2` and `other@v1`, and make the engine's packages."""
        self.place.mkdir()
        self.registry.write_text(REGISTRY)
        (self.place / "uv").write_text("#!/bin/sh\n")
        (self.place / "uv").chmod(0o755)
        for model, version, config in (("tiny", "v1", b"{}"), ("tiny", "v2", b'{"a": 1}')):
            self.write_model(model, {**FILES, "config.json": config})
            self.pin(model, version)
        other = {"config.json": b"{}", "model.safetensors": b"o" * 999}
        self.hub.publish("acme/other", other, licence="odd")
        self.pin("other", "v1")
        self.add_engine("anchor", "barge")

    def write_model(self, model: str, files: dict[str, bytes]) -> None:
        directory = self.place / model
        directory.mkdir(exist_ok=True)
        for name, content in files.items():
            (directory / name).write_bytes(content)

    def pin(self, model: str, version: str) -> None:
        """Pin today's directory as a version and pull it, since the next one overwrites it."""
        from toolkit.workflows.files.pull import pull

        pinned = pin_version(
            self.registry, model, name=version, open_hub=lambda: self.hub, report=lambda _: None
        )
        policy = read_registry(self.registry, unpinned=True).registry.policy
        pull(pinned.version, pinned.snapshot, self.store, lambda: self.hub, policy, Silent())

    def add_engine(self, *names: str) -> EngineLock:
        """Lock wheels of these names as vLLM 0.32.0 on the CPU for Python 3.11, and have them here."""
        shelf = self.place / "shelf"
        shelf.mkdir(exist_ok=True)
        wheels = {name: make_wheel(shelf, name, "1.0") for name in names}
        path = self.home / "engines" / "vllm-0.32.0-cpu-py311.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "".join(
                f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
                for name, wheel in wheels.items()
            )
        )
        lock = read_lock(path)
        self.wheelhouse.take_in(lock, wheels.values(), lambda _: None)
        return lock

    def engine(self) -> EngineLock:
        return next(
            each
            for each in read_locks(self.home)
            if (each.accelerator, each.python) == (Accelerator.CPU, "3.11")
        )

    def spec(self, target: Path, *specs: str) -> BundleSpec:
        registry = read_registry(self.registry, unpinned=True)
        versions = tuple(registry.registry.version(spec) for spec in specs)
        lock = read_registry_lock(self.registry)
        return BundleSpec(target, registry, lock, versions, (self.engine(),))

    def tools(self) -> BundleTools:
        return BundleTools(
            self.store,
            self.wheelhouse,
            Wheels(self.home, pins=self.libraries),
            lambda: self.hub,
            self.place / "uv",
            Silent,
            lambda _: None,
            lambda: self.clock,
            CompiledTrees(self.home),
        )

    def create(self, target: Path, *specs: str) -> Path:
        create_bundle(self.spec(target, *specs), self.tools())
        return target

    def site(self) -> LoadSite:
        self.place.mkdir(exist_ok=True)
        return LoadSite(
            self.store,
            self.wheelhouse,
            Wheels(self.home, pins=self.libraries),
            self.home,
            self.registry,
            read_locks(self.home),
            Silent,
        )

    def open(self, root: Path, fingerprint: str = "") -> Bundle:
        return open_bundle(root, fingerprint)

    def load(
        self,
        root: Path,
        *,
        dry_run: bool = False,
        confirm: Callable[[LoadPlan], bool] = lambda _: True,
    ) -> LoadPlan:
        return load_bundle(self.open(root), self.site(), confirm, dry_run=dry_run)

    def contents(self) -> dict[str, bytes]:
        """Return every file of this machine, to see that nothing changed."""
        return {
            path.relative_to(self.place).as_posix(): path.read_bytes()
            for path in self.place.rglob("*")
            if path.is_file() and path.name != ".lock"
        }


def manifest_of(root: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((root / "manifest.json").read_text())
    return document
