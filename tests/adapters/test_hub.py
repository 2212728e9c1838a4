"""The same cases on the real client, against a mirror on loopback, and on the fake."""

from __future__ import annotations

import hashlib
import json
import logging
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest
from huggingface_hub import constants

from toolkit.adapters.fakes.hub import FakeHub, Trouble
from toolkit.adapters.fakes.mirror import Misbehaving, PublishedFiles
from toolkit.adapters.hub import Hub, HubFile, open_hub
from toolkit.adapters.hub_client import HuggingFaceHub
from toolkit.adapters.mirror import mirror_app
from toolkit.adapters.mirror_server import serve_on_thread
from toolkit.domain.snapshot import FileDigest
from toolkit.domain.tensors import Tensor
from toolkit.errors import IntegrityError, SourceError, ToolkitError

REPO = "acme/tiny"
WEIGHTS = bytes(range(256)) * 20_000
FILES = {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS, "sub/empty.txt": b""}


class World(Protocol):
    """A hub and the means to arrange what it meets."""

    hub: Hub

    def publish(self, files: Mapping[str, bytes]) -> str: ...
    def trouble(self, trouble: Trouble) -> None: ...
    def cut(self, path: str, *sizes: int) -> None: ...
    def flip(self, path: str) -> None: ...


class FakeWorld:
    def __init__(self) -> None:
        self.hub = self.fake = FakeHub()

    def publish(self, files: Mapping[str, bytes]) -> str:
        return self.fake.publish(REPO, files)

    def trouble(self, trouble: Trouble) -> None:
        self.fake.trouble(REPO, trouble)

    def cut(self, path: str, *sizes: int) -> None:
        self.fake.cut(REPO, path, *sizes)

    def flip(self, path: str) -> None:
        self.fake.flip_byte(REPO, path)


class RealWorld:
    """The real client; it gives up at once, as the fake does."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.published = PublishedFiles(place)
        self.server = Misbehaving(mirror_app(self.published))
        self.serving: AbstractContextManager[str] = serve_on_thread(self.server)
        self.endpoint = self.serving.__enter__()
        self.hub: Hub = HuggingFaceHub(self.endpoint, tries=1)
        self.monkeypatch = monkeypatch

    def publish(self, files: Mapping[str, bytes]) -> str:
        return self.published.publish(REPO, files)

    def trouble(self, trouble: Trouble) -> None:
        self.server.trouble = trouble
        if trouble is Trouble.OFFLINE:
            self.monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        if trouble is Trouble.TIMED_OUT:
            self.monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
            self.monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
        if trouble is Trouble.UNREACHABLE:
            self.hub = HuggingFaceHub("http://127.0.0.1:9", tries=1)

    def cut(self, path: str, *sizes: int) -> None:
        self.server.cuts[path] = list(sizes)

    def flip(self, path: str) -> None:
        self.server.flipped.add(path)


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealWorld]:
    world = RealWorld(tmp_path / "origin", monkeypatch)
    yield world
    world.serving.__exit__(None, None, None)


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "fake":
        return FakeWorld()
    found: World = request.getfixturevalue("real")
    return found


def weights_of(hub: Hub, revision: str) -> FileDigest:
    (file,) = [f for f in hub.files(REPO, revision) if f.path == "model.safetensors"]
    return FileDigest(file.path, file.size, file.sha256)


def ignore(_size: int) -> None:
    pass


def test_a_branch_means_its_newest_commit(world: World) -> None:
    first = world.publish({"config.json": b"{}"})
    second = world.publish(FILES)
    assert world.hub.resolve(REPO, "main").revision == second != first
    assert world.hub.resolve(REPO, first).revision == first
    assert world.hub.resolve(REPO, first[:8]).revision == first


def test_licence_and_gate_are_told(world: World) -> None:
    world.publish(FILES)
    info = world.hub.resolve(REPO, "main")
    assert (info.licence, info.gated) == ("apache-2.0", False)


def test_files_have_sizes_and_the_digest_that_hubs_name(world: World) -> None:
    revision = world.publish(FILES)
    assert world.hub.files(REPO, revision) == (
        HubFile("config.json", 8, "", hashlib.sha1(b"blob 8\0" + FILES["config.json"]).hexdigest()),
        HubFile("model.safetensors", len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest(), ""),
        HubFile("sub/empty.txt", 0, "", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
    )


def test_a_small_file_is_read_whole(world: World) -> None:
    revision = world.publish(FILES)
    assert world.hub.read_small(REPO, revision, "config.json") == b'{"a": 1}'
    assert world.hub.read_small(REPO, revision, "sub/empty.txt") == b""


def safetensors(tensors: Mapping[str, tuple[str, list[int], int]], pad: int = 0) -> bytes:
    """Return a file of these tensors: name -> type, shape, bytes. `pad` lengthens its header."""
    entries: dict[str, object] = {"__metadata__": {"pad": "x" * pad}}
    end = 0
    for name, (dtype, shape, size) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + bytes(end)


@pytest.mark.parametrize("pad", [0, 200_000], ids=["short header", "long header"])
def test_tensors_are_read_from_the_header(world: World, pad: int) -> None:
    file = safetensors({"w": ("BF16", [2, 3], 12), "a.scale": ("F8_E4M3", [4], 4)}, pad)
    revision = world.publish({"model.safetensors": file})
    assert world.hub.tensors(REPO, revision, "model.safetensors") == (
        Tensor("a.scale", "F8_E4M3", (4,), 4),
        Tensor("w", "BF16", (2, 3), 12),
    )


def test_a_file_without_a_header_has_no_tensors(world: World) -> None:
    revision = world.publish({"model.safetensors": b"\xff" * 100})
    with pytest.raises(SourceError, match="is no safetensors file"):
        world.hub.tensors(REPO, revision, "model.safetensors")
    with pytest.raises(SourceError):
        world.hub.tensors(REPO, revision, "missing.safetensors")


def test_no_more_than_the_header_is_asked_for(real: RealWorld) -> None:
    revision = real.publish({"model.safetensors": safetensors({"w": ("I8", [2**23], 2**23)})})
    real.server.ranges.clear()
    real.hub.tensors(REPO, revision, "model.safetensors")
    assert real.server.ranges == ["bytes=0-100000"]


def test_a_download_is_written_hashed_and_counted(world: World, tmp_path: Path) -> None:
    revision = world.publish(FILES)
    file = weights_of(world.hub, revision)
    gained: list[int] = []
    assert world.hub.download(REPO, revision, file, tmp_path / "data", gained.append) == file.sha256
    assert (tmp_path / "data").read_bytes() == WEIGHTS
    assert sum(gained) == len(WEIGHTS)


def test_an_empty_file_comes_too(world: World, tmp_path: Path) -> None:
    revision = world.publish(FILES)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    file = FileDigest("sub/empty.txt", 0, empty)
    assert world.hub.download(REPO, revision, file, tmp_path / "data", ignore) == empty
    assert (tmp_path / "data").read_bytes() == b""


def test_a_broken_download_is_continued_by_the_next_call(world: World, tmp_path: Path) -> None:
    revision = world.publish(FILES)
    file = weights_of(world.hub, revision)
    world.cut("model.safetensors", 3_000_000)
    with pytest.raises(SourceError, match="broke the connection") as caught:
        world.hub.download(REPO, revision, file, tmp_path / "data", ignore)
    assert "goes on where it stopped" in caught.value.hint
    assert (tmp_path / "data").read_bytes() == WEIGHTS[:3_000_000]
    gained: list[int] = []
    assert world.hub.download(REPO, revision, file, tmp_path / "data", gained.append) == file.sha256
    assert (tmp_path / "data").read_bytes() == WEIGHTS
    assert sum(gained) == len(WEIGHTS)


def test_more_bytes_than_the_file_has_are_dropped(world: World, tmp_path: Path) -> None:
    revision = world.publish(FILES)
    file = weights_of(world.hub, revision)
    (tmp_path / "data").write_bytes(WEIGHTS + b"of an older file")
    gained: list[int] = []
    assert world.hub.download(REPO, revision, file, tmp_path / "data", gained.append) == file.sha256
    assert sum(gained) == len(WEIGHTS)


def test_a_changed_byte_shows_in_the_digest(world: World, tmp_path: Path) -> None:
    revision = world.publish(FILES)
    file = weights_of(world.hub, revision)
    world.flip("model.safetensors")
    found = world.hub.download(REPO, revision, file, tmp_path / "data", ignore)
    assert found != file.sha256
    assert (tmp_path / "data").stat().st_size == file.size


def test_progress_can_end_a_download(world: World, tmp_path: Path) -> None:
    revision = world.publish(FILES)
    file = weights_of(world.hub, revision)

    def stop(_size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.hub.download(REPO, revision, file, tmp_path / "data", stop)
    kept = (tmp_path / "data").read_bytes()
    assert 0 < len(kept) < len(WEIGHTS)
    assert kept == WEIGHTS[: len(kept)]


MISSING: dict[str, tuple[Callable[[Hub, str], object], str, str]] = {
    "repository": (
        lambda hub, _: hub.resolve("acme/none", "main"),
        "no repository",
        "hf auth login",
    ),
    "branch": (lambda hub, _: hub.resolve(REPO, "v9"), "no revision v9", "toolkit registry pin"),
    "revision": (lambda hub, _: hub.files(REPO, "a" * 40), "no revision aaaa", "registry pin"),
    "file": (lambda hub, rev: hub.read_small(REPO, rev, "x.json"), "no file x.json", "pin again"),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_named(world: World, what: str) -> None:
    revision = world.publish(FILES)
    ask, message, hint = MISSING[what]
    with pytest.raises(SourceError, match=message) as caught:
        ask(world.hub, revision)
    assert hint in caught.value.hint


TROUBLES = {
    Trouble.GATED: ("acme/tiny is gated", "/acme/tiny, then: hf auth login"),
    Trouble.PRIVATE: ("no repository acme/tiny, or it is private", "hf auth login"),
    Trouble.REFUSED: ("refused access to acme/tiny with the token", "hf auth login"),
    Trouble.RATE_LIMITED: ("limits the rate of requests.* 120 s", "again in 120 s"),
    Trouble.OFFLINE: ("HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE"),
    Trouble.UNREACHABLE: ("cannot be reached", "HF_ENDPOINT="),
    Trouble.TIMED_OUT: ("did not answer in time", "HF_HUB_DOWNLOAD_TIMEOUT="),
    Trouble.SERVER_FAILED: ("answered 503", "again later"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_has_its_own_words(world: World, trouble: Trouble, tmp_path: Path) -> None:
    revision = world.publish(FILES)
    file = weights_of(world.hub, revision)
    world.trouble(trouble)
    message, hint = TROUBLES[trouble]
    for ask in (
        lambda: world.hub.resolve(REPO, "main"),
        lambda: world.hub.files(REPO, revision),
        lambda: world.hub.read_small(REPO, revision, "config.json"),
        lambda: world.hub.download(REPO, revision, file, tmp_path / "data", ignore),
    ):
        with pytest.raises(SourceError, match=message) as caught:
            ask()
        assert hint in caught.value.hint


def test_the_real_client_heals_broken_connections(real: RealWorld, tmp_path: Path) -> None:
    revision = real.publish(FILES)
    hub = HuggingFaceHub(real.endpoint, tries=3, pause=0.01)
    file = weights_of(hub, revision)
    real.cut("model.safetensors", 1_000_000, 2_000_000, 500_000)
    gained: list[int] = []
    assert hub.download(REPO, revision, file, tmp_path / "data", gained.append) == file.sha256
    assert sum(gained) == len(WEIGHTS)
    assert real.server.ranges == ["bytes=1000000-", "bytes=3000000-", "bytes=3500000-"]


def test_a_server_without_ranges_is_asked_from_the_start(real: RealWorld, tmp_path: Path) -> None:
    revision = real.publish(FILES)
    hub = HuggingFaceHub(real.endpoint, tries=3, pause=0.01)
    file = weights_of(hub, revision)
    real.server.ignore_ranges = True
    (tmp_path / "data").write_bytes(WEIGHTS[:1_000_000])
    gained: list[int] = []
    assert hub.download(REPO, revision, file, tmp_path / "data", gained.append) == file.sha256
    assert (tmp_path / "data").read_bytes() == WEIGHTS
    assert sum(gained) == len(WEIGHTS)


def test_connections_that_never_bring_anything_are_given_up(
    real: RealWorld, tmp_path: Path
) -> None:
    revision = real.publish(FILES)
    hub = HuggingFaceHub(real.endpoint, tries=3, pause=0.01)
    file = weights_of(hub, revision)
    real.cut("model.safetensors", *[0] * 20)
    with pytest.raises(SourceError, match="several times in a row"):
        hub.download(REPO, revision, file, tmp_path / "data", ignore)
    assert len(real.server.cuts["model.safetensors"]) == 17


@pytest.mark.parametrize(
    ("size", "sha256", "message"),
    [
        (5, "", r"has 5120000 bytes, the lock says 5"),
        (len(WEIGHTS), "0" * 64, r"the lock says 0000"),
    ],
)
def test_other_bytes_than_pinned_are_refused_before_they_are_fetched(
    real: RealWorld, tmp_path: Path, size: int, sha256: str, message: str
) -> None:
    revision = real.publish(FILES)
    file = FileDigest("model.safetensors", size, sha256)
    with pytest.raises(IntegrityError, match=message):
        real.hub.download(REPO, revision, file, tmp_path / "data", ignore)
    assert [r for r in real.server.requests if r.startswith("GET") and "resolve" in r] == []


def test_a_mirror_that_only_names_xet_is_read_over_http(
    real: RealWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_XET_CACHE", str(tmp_path / "xet"))
    revision = real.publish(FILES)
    file = weights_of(real.hub, revision)
    route = f"{real.endpoint}/api/models/{REPO}/xet-read-token/{revision}"
    real.server.extra_headers = {"X-Xet-Hash": "0" * 64, "X-Xet-Refresh-Route": route}
    found = real.hub.download(REPO, revision, file, tmp_path / "part" / "data", ignore)
    assert found == file.sha256
    assert any("xet-read-token" in request for request in real.server.requests)
    assert [path.name for path in (tmp_path / "part").iterdir()] == ["data"]


def test_the_token_goes_to_the_hub_and_nowhere_else(
    real: RealWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secret = "hf_canaryCANARYcanary"
    monkeypatch.setenv("HF_TOKEN", secret)
    revision = real.publish(FILES)
    hub = open_hub(real.endpoint)
    file = weights_of(hub, revision)
    messages = []
    with caplog.at_level(logging.DEBUG):
        hub.download(REPO, revision, file, tmp_path / "data", ignore)
        for trouble in (Trouble.GATED, Trouble.REFUSED, Trouble.RATE_LIMITED):
            real.trouble(trouble)
            with pytest.raises(ToolkitError) as caught:
                hub.resolve(REPO, "main")
            messages.append(f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}")
    assert real.server.credentials
    assert set(real.server.credentials) == {f"Bearer {secret}"}
    said = caplog.text + "".join(messages) + "".join(capfd.readouterr())
    assert secret not in said
    assert "gated" in said
    left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in left


def test_a_name_that_is_none_is_refused_without_a_request(real: RealWorld) -> None:
    with pytest.raises(SourceError, match="not the name of a repository"):
        real.hub.resolve("a/b/c", "main")
    assert real.server.requests == []


def test_an_answer_that_is_not_a_hubs_is_said_to_be_one(tmp_path: Path) -> None:
    async def website(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>hello</html>"})

    with serve_on_thread(website) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=1)
        with pytest.raises(SourceError, match="not a Hub's") as caught:
            hub.files(REPO, "a" * 40)
        assert "HF_ENDPOINT" in caught.value.hint
