"""What a replica does with its processes costs those little who look at it: their number, words and mappings."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import drift
import processes

COUNT = 40
# Each child has the megabyte of words of its parent, which costs the two of them nothing.
HOSTILE = f"""
import os, sys, time
for _ in range({COUNT}):
    if os.fork() == 0:
        time.sleep(600)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def hostile() -> Iterator[int]:
    words = [sys.executable, "-c", HOSTILE, *["x" * 100_000] * 10]
    with subprocess.Popen(words, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, 9)


def test_long_command_lines_take_little_memory_of_those_who_read_them(hostile: int) -> None:
    tree = processes.tree(hostile)
    assert len(tree) == COUNT + 1
    tracemalloc.start()
    try:
        assert drift._runs_with(tree, "/snapshot", {"ending": ["a"], "server": "serve"})
        assert len(processes.run_times(hostile, "EngineCore", alone=False)) == COUNT
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20


def test_memory_that_takes_long_to_count_exactly_is_counted_all_the_same(
    hostile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "EXACT_SECONDS", 0.0)
    monkeypatch.setattr(processes, "_memory", lambda _: pytest.fail("that may last"))
    assert processes.resident(hostile) > COUNT * 2**20
