"""The contract of a Hub, on the real client with a mirror on loopback, and on the fake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapters.hub_lab import (
    FILES,
    REPO,
    WEIGHTS,
    FakeWorld,
    World,
    ignore,
    safetensors,
    weights_of,
)
from toolkit.adapters.hub.errors import Fault
from toolkit.adapters.hub.port import Hub, HubFile
from toolkit.domain.files.snapshot import FileDigest
from toolkit.domain.files.tensors import Tensor
from toolkit.errors import SourceError


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "fake":
        return FakeWorld()
    found: World = request.getfixturevalue("real_hub")
    return found


def test_a_branch_means_its_newest_commit(world: World) -> None:
    first = world.publish({"config.json": b"{}"})
    second = world.publish(FILES)
    assert world.hub.resolve(REPO, "main").revision == second != first
    assert world.hub.resolve(REPO, first).revision == first
    assert world.hub.resolve(REPO, first[:8]).revision == first


def test_licence_and_gate_are_told(world: World) -> None:
    world.publish(FILES)
    info = world.hub.resolve(REPO, "main")
    assert info.name == REPO
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


@pytest.mark.parametrize("pad", [0, 200_000], ids=["short header", "long header"])
def test_tensors_are_read_from_the_header(world: World, pad: int) -> None:
    file = safetensors({"w": ("BF16", [2, 3], 12), "a.scale": ("F8_E4M3", [4], 4)}, pad)
    revision = world.publish({"model.safetensors": file})
    assert world.hub.tensors(REPO, revision, "model.safetensors", len(file)) == (
        Tensor("a.scale", "F8_E4M3", (4,), 4),
        Tensor("w", "BF16", (2, 3), 12),
    )


def test_a_file_without_a_header_has_no_tensors(world: World) -> None:
    revision = world.publish({"model.safetensors": b"\xff" * 100})
    with pytest.raises(SourceError, match="is no safetensors file"):
        world.hub.tensors(REPO, revision, "model.safetensors", 100)
    with pytest.raises(SourceError):
        world.hub.tensors(REPO, revision, "missing.safetensors", 100)


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
    Fault.GATED: ("acme/tiny is gated", "/acme/tiny, then: hf auth login"),
    Fault.MISSING: ("no repository acme/tiny, or it is private", "hf auth login"),
    Fault.REFUSED: ("refused access to acme/tiny with the token", "hf auth login"),
    Fault.RATE_LIMITED: ("limits the rate of requests.* 120 s", "again in 120 s"),
    Fault.OFFLINE: ("HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE"),
    Fault.UNREACHABLE: ("cannot be reached", "HF_ENDPOINT="),
    Fault.TIMED_OUT: ("did not answer in time", "HF_HUB_DOWNLOAD_TIMEOUT="),
    Fault.SERVER_FAILED: ("answered 503", "again later"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_has_its_own_words(world: World, trouble: Fault, tmp_path: Path) -> None:
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
