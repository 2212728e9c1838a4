"""The file that a process writes its records to."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toolkit_recorder.book import Book

from tests.recorder.conftest import FILES

HEAD = {"program": "tiny-blue", "release": 3}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_begins_with_what_it_is_and_counts_its_records(tmp_path: Path) -> None:
    book = Book(str(tmp_path / "use"), HEAD)
    book.record('"in":1')
    book.write({"counters": {}})
    book.record('"in":2')
    (path,) = (tmp_path / "use").iterdir()
    assert (path.name, len(book.run)) == (f"{book.run}.jsonl", 16)
    assert lines(path) == [
        {"run": book.run, **HEAD, "part": 0},
        {"n": 1, "in": 1},
        {"counters": {}},
        {"n": 2, "in": 2},
    ]
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]
    assert modes == [0o600, 0o700]


def test_two_processes_have_a_file_each(tmp_path: Path) -> None:
    assert Book(str(tmp_path), HEAD).run != Book(str(tmp_path), HEAD).run
    assert len(list(tmp_path.iterdir())) == 2


def test_a_large_file_ends_and_the_numbers_go_on(tmp_path: Path) -> None:
    book = Book(str(tmp_path), HEAD, part=300, everything=10_000)
    for _ in range(12):
        book.record(f'"id":"{"x" * 40}"')
    names = [f"{book.run}.jsonl", *(f"{book.run}.{part}.jsonl" for part in (1, 2))]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names)
    found = [lines(tmp_path / name) for name in names]
    assert [part[0]["part"] for part in found] == [0, 1, 2]
    assert {part[0]["run"] for part in found} == {book.run}
    assert [line["n"] for part in found for line in part[1:]] == list(range(1, 13))


def test_the_oldest_go_where_nobody_carries_them_away(tmp_path: Path) -> None:
    book = Book(str(tmp_path), HEAD, part=300, everything=1_000)
    for number in range(60):
        book.record(f'"id":"{"x" * 40}"')
        newest = max(tmp_path.iterdir(), key=lambda each: each.stat().st_mtime_ns)
        os.utime(newest, ns=(number, number))
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= 1_400
    left = [line["n"] for each in tmp_path.iterdir() for line in lines(each) if "n" in line]
    assert max(left) == 60
    assert len(left) < 20


def test_a_replica_that_dies_at_each_start_leaves_so_many_files(tmp_path: Path) -> None:
    for _ in range(300):
        newest = Book(str(tmp_path), HEAD)
        newest.close()
    assert len(list(tmp_path.iterdir())) == 256
    assert (tmp_path / f"{newest.run}.jsonl").exists()


def test_a_link_in_the_way_is_not_followed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: b"\0" * count)
    target = tmp_path / "target"
    (tmp_path / f"{'00' * 8}.jsonl").symlink_to(target)
    with pytest.raises(FileExistsError):
        Book(str(tmp_path), HEAD)
    assert not target.exists()


FULL = """
import resource, signal, sys
sys.path.append(sys.argv[2])
from toolkit_recorder.book import Book
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
book = Book(sys.argv[1], {})
def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
book.record('"id":"before"')
limit(100)
for _ in range(3):
    try: book.record('"id":"' + 'x' * 40 + '"')
    except OSError: pass
limit(resource.RLIM_INFINITY)
book.record('"id":"after"')
"""


def test_a_full_disk_costs_lines_and_spoils_none(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL, tmp_path, FILES], check=True)
    (path,) = tmp_path.iterdir()
    found = path.read_text().splitlines()
    numbers = []
    for line in found:
        try:
            numbers.append(json.loads(line).get("n"))
        except ValueError:
            numbers.append("cut")
    assert numbers == [None, 1, "cut", 5]


def test_a_disk_that_is_full_where_a_file_begins_costs_no_line_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without its first line would be none to the host, with all that follows in it."""
    book = Book(str(tmp_path), HEAD, part=100, everything=10_000)
    book.record(f'"id":"{"x" * 80}"')
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    real, full = os.write, [True, True, True]

    def write(handle: int, data: bytes) -> int:
        if full and full.pop():
            return real(handle, data[:5])
        return real(handle, data)

    monkeypatch.setattr(os, "write", write)
    for _ in range(3):
        with contextlib.suppress(OSError):
            book.record('"id":"lost"')
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    book.record('"id":"after"')
    texts = [path.read_text().splitlines() for path in sorted(tmp_path.iterdir())]
    assert all(json.loads(lines[0])["run"] == book.run for lines in texts)
    assert sum('"after"' in line for lines in texts for line in lines) == 1


def test_where_no_file_can_begin_the_former_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(str(tmp_path), HEAD, part=100, everything=10_000)

    def refuse(*_: Any) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        for number in range(3):
            book.record(f'"id":"{number}{"x" * 80}"')
    (path,) = tmp_path.iterdir()
    assert [each["n"] for each in lines(path)[1:]] == [1, 2, 3]
    book.record('"id":"in a file of its own"')
    assert len(list(tmp_path.iterdir())) == 2
