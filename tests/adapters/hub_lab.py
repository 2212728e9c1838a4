"""Two Hubs for the same tests: the real client with a mirror on loopback, and the fake."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest
from huggingface_hub import constants

from tests.adapters.hub_server import Misbehaving, PublishedFiles
from tests.on_thread import serve_on_thread
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.adapters.hub.errors import Fault
from toolkit.adapters.hub.port import Hub
from toolkit.adapters.mirror.app import mirror_app
from toolkit.domain.files.snapshot import FileDigest

REPO = "acme/tiny"
WEIGHTS = bytes(range(256)) * 20_000
FILES = {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS, "sub/empty.txt": b""}


class World(Protocol):
    """A Hub whose content and faults a test can set."""

    hub: Hub

    def publish(self, files: Mapping[str, bytes]) -> str: ...
    def trouble(self, trouble: Fault) -> None: ...
    def cut(self, path: str, *sizes: int) -> None: ...
    def flip(self, path: str) -> None: ...


class FakeWorld:
    def __init__(self) -> None:
        self.hub = self.fake = FakeHub()

    def publish(self, files: Mapping[str, bytes]) -> str:
        return self.fake.publish(REPO, files)

    def trouble(self, trouble: Fault) -> None:
        self.fake.fail(REPO, trouble)

    def cut(self, path: str, *sizes: int) -> None:
        self.fake.cut(REPO, path, *sizes)

    def flip(self, path: str) -> None:
        self.fake.flip_byte(REPO, path)


class RealWorld:
    """The real client. Like the fake, it does not retry."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.published = PublishedFiles(place)
        self.server = Misbehaving(mirror_app(self.published))
        self.serving: AbstractContextManager[str] = serve_on_thread(self.server)
        self.endpoint = self.serving.__enter__()
        self.hub: Hub = HuggingFaceHub(self.endpoint, tries=1)
        self.monkeypatch = monkeypatch

    def publish(self, files: Mapping[str, bytes]) -> str:
        return self.published.publish(REPO, files)

    def trouble(self, trouble: Fault) -> None:
        self.server.trouble = trouble
        if trouble is Fault.OFFLINE:
            self.monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        if trouble is Fault.TIMED_OUT:
            self.monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
            self.monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
        if trouble is Fault.UNREACHABLE:
            self.hub = HuggingFaceHub("http://127.0.0.1:9", tries=1)

    def cut(self, path: str, *sizes: int) -> None:
        self.server.cuts[path] = list(sizes)

    def flip(self, path: str) -> None:
        self.server.flipped.add(path)


def weights_of(hub: Hub, revision: str) -> FileDigest:
    (file,) = [f for f in hub.files(REPO, revision) if f.path == "model.safetensors"]
    return FileDigest(file.path, file.size, file.sha256)


def ignore(_size: int) -> None:
    pass


def safetensors(tensors: Mapping[str, tuple[str, list[int], int]], pad: int = 0) -> bytes:
    """Return a safetensors file: name -> type, shape, bytes. `pad` lengthens its header."""
    entries: dict[str, object] = {"__metadata__": {"pad": "x" * pad}}
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + bytes(end)
