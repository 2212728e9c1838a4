"""The files of a snapshot are read ahead of their engine, as far as they fit into memory."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys
from pathlib import Path

import pytest

from tests.system.waiting import until

sys.path.insert(0, str(Path(__file__).parents[2] / "toolkit/hostside"))

import read_ahead

DIGEST = "d" * 64


def manifest(snapshot: str) -> str:
    """Return the manifest of a slot that has this snapshot."""
    release = {"model": "tiny", "version": "v1", "number": 1, "snapshot": snapshot, "engine": "e"}
    return json.dumps({"model": "tiny", "slot": "blue", "port": 8100, "release": release})


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot with two files of weights, a small file and a link out of it, in the slot `tiny-blue`."""
    made = tmp_path / "snapshots" / DIGEST
    (made / "part").mkdir(parents=True)
    for name in ("model.safetensors", "part/2.safetensors", "outside"):
        (made / name).write_bytes(bytes(read_ahead.LEAST))
    (made / "config.json").write_text("{}")
    (made / "outside").replace(tmp_path / "outside")
    (made / "link.safetensors").symlink_to(tmp_path / "outside")
    slot = tmp_path / "slots/tiny-blue"
    slot.mkdir(parents=True)
    (slot / "manifest.json").write_text(manifest(DIGEST))
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What the kernel is asked for: path, first byte and number of bytes."""
    calls: list[tuple[str, int, int]] = []

    def advise(descriptor: int, offset: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        calls.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), offset, size))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    return calls


def test_large_files_are_asked_for_whole(snapshot: Path, asked: list[tuple[str, int, int]]) -> None:
    paths = [str(snapshot / each) for each in ("model.safetensors", "part/2.safetensors")]
    assert read_ahead.read(str(snapshot), 4 * read_ahead.LEAST) == paths
    steps = range(0, read_ahead.LEAST, read_ahead.STEP)
    assert asked == [(path, begin, read_ahead.STEP) for path in paths for begin in steps]


def test_files_that_take_more_than_half_of_the_room_are_not_read(
    snapshot: Path, asked: list[tuple[str, int, int]]
) -> None:
    assert read_ahead.read(str(snapshot), 4 * read_ahead.LEAST - 1) == []
    assert asked == []


def test_a_slot_names_its_snapshot(snapshot: Path, asked: list[tuple[str, int, int]]) -> None:
    read_ahead.start(str(snapshot.parents[1]), "tiny-blue")
    calls = 2 * read_ahead.LEAST // read_ahead.STEP
    assert len(until(lambda: list(asked), 20, lambda found: len(found) == calls)) == calls


@pytest.mark.parametrize(
    "text", ["", "[]", '{"release": 3}', manifest("../../etc"), manifest("e" * 64)]
)
def test_a_slot_without_a_snapshot_has_nothing_to_read(
    snapshot: Path, asked: list[tuple[str, int, int]], text: str
) -> None:
    root = snapshot.parents[1]
    (root / "slots/tiny-blue/manifest.json").write_text(text)
    read_ahead._read_slot(str(root), "tiny-blue")
    read_ahead._read_slot(str(root), "tiny-green")
    assert asked == []


def in_memory(path: Path) -> int:
    """Return how many bytes of a file the kernel has in memory (mincore)."""
    size = path.stat().st_size
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(mapped)
        failed = libc.mincore(ctypes.byref(first), ctypes.c_size_t(size), pages)
        del first
    assert not failed, os.strerror(ctypes.get_errno())
    return mmap.PAGESIZE * sum(each & 1 for each in pages)


def test_the_kernel_has_the_whole_file_in_memory_afterwards(tmp_path: Path) -> None:
    """A word for the whole file would have it read 8 MiB of this one, or 128 KiB, by the settings of its disk."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(32 * 2**20))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def known() -> int:
        # A kernel that is short of memory for a moment leaves a step out.
        read_ahead.read(str(tmp_path), 2**30)
        return in_memory(path)

    until(known, 60, lambda found: found == path.stat().st_size)
