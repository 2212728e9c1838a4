"""A plan reads headers and nothing else, shows what it reaches, and remembers what came true."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.adapters.hub_server import Misbehaving, PublishedFiles
from tests.on_thread import serve_on_thread
from tests.pace import Pace
from tests.planning.facts import gpu, wanted
from tests.planning.facts import version as make_version
from tests.workflows.world import FakeSupplies, World
from tests.workflows.world import release as make_release
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.adapters.mirror.app import mirror_app
from toolkit.adapters.sources.model_files import read_directory
from toolkit.adapters.store.store import Store
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.fit import ModelFiles
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.registry.model import HubSource, LocalSource
from toolkit.errors import HostError, IntegrityError, SourceError
from toolkit.planning.fit.host_fit import Candidate
from toolkit.workflows.change import fit_record as fit_workflow
from toolkit.workflows.change.fit_record import FitRecording
from toolkit.workflows.fleet.fit_plan import files_of, plan_fit, read_model
from toolkit.workflows.tools import SnapshotFiles, Tools

REPO = "acme/tiny"
CONFIG = {
    "model_type": "qwen3", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 384,
    "max_position_embeddings": 1024, "dtype": "bfloat16",
}  # fmt: skip
SAID = (
    "CPU KV cache size: 2,097,152 tokens, Maximum concurrency for 1,024 tokens per request: 2048.00x",
)


def shard(name: str, megabytes: int = 4) -> bytes:
    """Return a safetensors file of one tensor."""
    size = megabytes * 2**20
    entry = {name: {"dtype": "I8", "shape": [size], "data_offsets": [0, size]}}
    header = json.dumps(entry).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "model-00001-of-00002.safetensors": shard("model.layers.0.a"),
    "model-00002-of-00002.safetensors": shard("model.layers.1.a"),
    "tokenizer.json": bytes(2**20),
    "sub/other.safetensors": shard("elsewhere"),
}
VERSION = make_version(source=HubSource(REPO))


@dataclass
class Origin:
    server: Misbehaving
    sent: list[int]
    endpoint: str
    revision: str
    snapshot: Snapshot


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    published = PublishedFiles(tmp_path / "origin")
    revision = published.publish(REPO, FILES)
    server = Misbehaving(counting(mirror_app(published), sent := []))
    with serve_on_thread(server) as endpoint:
        yield Origin(server, sent, endpoint, revision, published.snapshot(REPO, revision))


def counting(app, sent):  # type: ignore[no-untyped-def]
    async def counted(scope, receive, send):  # type: ignore[no-untyped-def]
        async def passing(message):  # type: ignore[no-untyped-def]
            sent.append(len(message.get("body", b"")))
            await send(message)

        await app(scope, receive, passing)

    return counted


def no_hub() -> FakeHub:
    raise AssertionError("nothing is asked of a Hub")


def test_nothing_but_the_configuration_and_headers_is_asked_for(
    origin: Origin, tmp_path: Path
) -> None:
    version = replace(VERSION, revision=origin.revision)
    files = read_model(
        version, origin.snapshot, Store(tmp_path / "store"), lambda: HuggingFaceHub(origin.endpoint)
    )
    assert files.config == CONFIG
    assert [(tensor.name, tensor.size) for tensor in files.tensors] == [
        ("model.layers.0.a", 4 * 2**20),
        ("model.layers.1.a", 4 * 2**20),
    ]
    assert origin.server.ranges == ["bytes=0-100000"] * 2
    asked = {request.rpartition("/")[2] for request in origin.server.requests}
    assert asked == {path for path in FILES if "/" not in path} - {"tokenizer.json"}
    # Of 13 MiB, twice the first 100,001 bytes and a configuration.
    assert sum(origin.sent) == 2 * 100_001 + len(FILES["config.json"])


def test_a_configuration_that_is_not_the_pinned_one_makes_no_plan(
    origin: Origin, tmp_path: Path
) -> None:
    """Its plan would be that of another model, for a server that gives one under the same commit."""
    version, hub = replace(VERSION, revision=origin.revision), HuggingFaceHub(origin.endpoint)
    origin.server.flipped.add("config.json")
    with pytest.raises(IntegrityError, match=r"config\.json of acme/tiny is not the file that was"):
        read_model(version, origin.snapshot, Store(tmp_path / "store"), lambda: hub)


def test_files_that_are_not_pinned_yet_are_listed(tmp_path: Path) -> None:
    hub = FakeHub()
    revision = hub.publish(REPO, FILES)
    version = replace(VERSION, revision=revision)
    snapshot = files_of(version, None, lambda: hub)
    assert {file.path for file in snapshot.files} == set(FILES)
    assert hub.downloads == []
    assert len(read_model(version, snapshot, Store(tmp_path), lambda: hub).tensors) == 2


def test_what_is_in_the_store_is_read_there(tmp_path: Path) -> None:
    store, snapshot = Store(tmp_path / "store"), put(tmp_path / "store", FILES)
    assert len(read_model(VERSION, snapshot, store, no_hub).tensors) == 2


def put(root: Path, files: dict[str, bytes]) -> Snapshot:
    """Bring files into a store as a pull would leave them."""
    import hashlib

    store = Store(root)
    digests = tuple(
        FileDigest(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in files.items()
    )
    snapshot = Snapshot(REPO, VERSION.revision, digests)
    store.blobs.mkdir(parents=True)
    for file in digests:
        (store.blobs / file.sha256).write_bytes(files[file.path])
    with store.stage(snapshot) as staging:
        assert staging.link_present() == ()
        staging.commit("mit", 1.0)
    return snapshot


def test_a_model_made_in_house_is_read_in_its_directory(tmp_path: Path) -> None:
    for path, content in FILES.items():
        (tmp_path / "made" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / path).write_bytes(content)
    version = replace(VERSION, source=LocalSource(str(tmp_path / "made"), "tiny"))
    found = read_model(
        version, Snapshot("local/tiny", "1" * 40, digests()), Store(tmp_path), no_hub
    )
    assert len(found.tensors) == 2


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"config.json": b"[]"}, "config.json is no mapping"),
        ({"config.json": b"{"}, "holds no model that can be read"),
        ({"model-00001-of-00002.safetensors": b"\xff" * 40}, "is none of a safetensors file"),
    ],
)
def test_a_damaged_model_is_said(tmp_path: Path, broken: dict[str, bytes], words: str) -> None:
    snapshot = put(tmp_path / "store", {**FILES, **broken})
    with pytest.raises(SourceError, match=words):
        read_model(VERSION, snapshot, Store(tmp_path / "store"), no_hub)


def test_a_model_without_a_configuration_is_told_what_works_all_the_same(tmp_path: Path) -> None:
    files = {path: text for path, text in FILES.items() if path != "config.json"}
    snapshot = put(tmp_path / "store", files)
    with pytest.raises(SourceError, match=r"has no config\.json, from which") as caught:
        read_model(VERSION, snapshot, Store(tmp_path / "store"), no_hub)
    assert caught.value.hint == "toolkit deploy MODEL --dry-run plans without them"


def candidate(tmp_path: Path, *, memory: int = 4 * 2**30, hosts: int = 1) -> Candidate:
    snapshot = put(tmp_path / "store", FILES)
    version = make_version(
        resources={"accelerators": (Accelerator.CPU,), "memory": memory, "hosts": hosts}
    )
    return Candidate(
        version=version,
        files=read_model(VERSION, snapshot, Store(tmp_path / "store"), no_hub),
        snapshot=snapshot,
        lock_for=lambda accelerator, python: EngineLock(
            "vllm", "0.32.0", accelerator, python, "a" * 64, "", 1
        ),
        wanted=lambda release, facts: wanted(release, "upgrade"),
    )


class Unreachable(FakeHost):
    def observe(self) -> HostFacts:
        raise HostError(f"{self.host.name}: connection refused")


def fake(name: str, **facts: object) -> FakeHost:
    host = FakeHost(Host(name, peers=("10.0.0.9",)))
    host.facts = replace(host.facts, **{"name": name, "converged": "base-1", **facts})  # type: ignore[arg-type]
    return host


def test_hosts_are_shown_in_their_order_and_those_out_of_reach_by_name(
    tmp_path: Path, world: World
) -> None:
    hosts = [
        fake("small", memory=10**9, memory_available=10**9),
        Unreachable(Host("lost")),
        fake("large"),
    ]
    found = plan_fit(candidate(tmp_path), hosts, world.history)
    assert [(host.host, host.fits) for host in found.hosts] == [("small", False), ("large", True)]
    assert found.unreachable == {"lost": "connection refused"}
    assert found.fits
    assert found.weights == 8 * 2**20
    assert all(host.events == [] for host in hosts)


def test_a_bare_host_that_cannot_be_provisioned_has_no_place(tmp_path: Path, world: World) -> None:
    bare = {"converged": "", "os_id": "debian", "os_version": "12", "architecture": "x86_64"}
    now = 1000.0
    hosts = [
        fake("sound", **bare, observed_at=now),
        fake("late", **bare, observed_at=now - 86400),
        fake("late-but-provisioned", **{**bare, "converged": "d"}, observed_at=now - 86400),
    ]
    found = plan_fit(candidate(tmp_path), hosts, world.history, clock=lambda: now)
    assert [host.fits for host in found.hosts] == [True, False, True]
    words = "it cannot be provisioned: its clock is 24 h 00 min behind this machine's"
    assert found.hosts[1].why == words


def test_what_several_hosts_run_together_fits_where_there_are_as_many(
    tmp_path: Path, world: World
) -> None:
    small = fake("small", memory=10**9, memory_available=10**9)
    hosts = [fake("one"), small, fake("two")]
    found = plan_fit(candidate(tmp_path / "two", hosts=2), hosts, world.history)
    assert found.fits
    # each computes a part of every layer
    assert found.hosts[0].prediction is not None
    assert (found.hosts[0].prediction.tensor_parallel, found.hosts[0].prediction.token) == (2, 256)
    assert not plan_fit(candidate(tmp_path / "three", hosts=3), hosts, world.history).fits


def test_without_any_host_the_need_is_still_known(tmp_path: Path, world: World) -> None:
    found = plan_fit(candidate(tmp_path), [Unreachable(Host("lost"))], world.history)
    assert (found.fits, found.hosts) == (False, ())
    assert found.need.weights == 8 * 2**20
    assert found.as_json()["need"]["token"] == 512


def digests() -> tuple[FileDigest, ...]:
    return tuple(FileDigest(path, len(content), "a" * 64) for path, content in FILES.items())


class Stored(FakeSupplies):
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def snapshot(self, release: Release) -> SnapshotFiles:
        return SnapshotFiles(str(self.directory), digests())


def record_fit(tools: Tools, facts: HostFacts, release: Release, lines: Sequence[str]) -> None:
    FitRecording(tools, facts, release).keep(lines)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.history.close()


def started(world: World, tmp_path: Path) -> Release:
    """Put a model where the supplies find it; return the release that serves it with 1 GiB of cache."""
    directory = tmp_path / "files"
    for path, content in FILES.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    world.given["supplies"] = lambda: Stored(directory)
    release = replace(make_release(1), env={"VLLM_CPU_KVCACHE_SPACE": "1"}, version="v1")
    world.history.add_release(release)
    return release


def test_predicted_and_actual_stand_side_by_side(tmp_path: Path, world: World, pace: Pace) -> None:
    release = started(world, tmp_path)
    before = pace()
    record_fit(world.command()[0], world.host.facts, release, SAID)
    assert pace() - before < 5
    (record,) = world.history.fits("tiny")
    assert (record.release, record.host) == (1, "gpu1")
    assert record.predicted.tokens == record.actual.tokens == 2_097_152
    assert record.token_error == 0.0
    found = plan_fit(candidate(tmp_path), [world.host], world.history)
    assert [each.release for each in found.records] == [1]
    assert found.as_json()["starts"][0]["token_error"] == 0.0


def test_a_deployment_keeps_the_figures_of_its_start(tmp_path: Path, world: World) -> None:
    release = started(world, tmp_path)
    world.deploy(release)
    (record,) = world.history.fits("tiny")
    assert (record.host, record.predicted.tokens, record.actual.tokens) == (
        "gpu1",
        2_097_152,
        2048,
    )


def test_starts_of_another_version_are_not_shown(tmp_path: Path, world: World) -> None:
    release = started(world, tmp_path)
    record_fit(world.command()[0], world.host.facts, release, SAID)
    other = replace(candidate(tmp_path), version=make_version(name="v2"))
    assert plan_fit(other, [], world.history).records == ()


def test_an_engine_that_said_nothing_leaves_no_record(tmp_path: Path, world: World) -> None:
    record_fit(world.command()[0], world.host.facts, started(world, tmp_path), ("starting",))
    assert world.history.fits("tiny") == []
    assert world.said == []


def test_figures_that_cannot_be_kept_end_no_deployment(tmp_path: Path, world: World) -> None:
    release = started(world, tmp_path)
    (tmp_path / "files" / "config.json").unlink()
    record_fit(world.command()[0], world.host.facts, release, SAID)
    assert world.history.fits("tiny") == []
    assert len(world.said) == 1
    assert world.said[0].startswith("the memory figures of tiny #1 (v1) were not kept: ")
    world.history.close()
    record_fit(world.command()[0], world.host.facts, release, SAID)


def test_a_release_on_cards_is_predicted_with_theirs(tmp_path: Path, world: World) -> None:
    release = replace(
        started(world, tmp_path),
        accelerator="cuda",
        args=("--gpu-memory-utilization", "0.5"),
        env={},
    )
    facts = replace(world.host.facts, devices=(gpu(0, 24, 24),))
    record_fit(world.command()[0], facts, release, SAID)
    (record,) = world.history.fits("tiny")
    assert record.predicted.budget == 12 * 10**9


def test_a_start_does_not_wait_for_the_prediction_and_one_of_several_reads(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, read = started(world, tmp_path), threading.Event()
    reads: list[str] = []

    def slow(directory: Path, snapshot: Snapshot) -> ModelFiles:
        reads.append(str(directory))
        assert read.wait(60)
        return read_directory(directory, snapshot)

    monkeypatch.setattr(fit_workflow, "read_directory", slow)
    facts = world.host.facts
    recordings = [
        FitRecording(world.command()[0], replace(facts, name=name), release)
        for name in ("h1", "h2")
    ]
    recordings[0].keep(("an engine that says nothing",))
    read.set()
    for each in recordings:
        each.keep(SAID)
    assert sorted(each.host for each in world.history.fits("tiny")) == ["h1", "h2"]
    assert len(reads) == 1
