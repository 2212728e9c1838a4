"""What this machine says of itself, as a session with limits of its own sees it."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import os, resource, sys
hard = int(sys.argv[1])
if hard:
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 256), hard))
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
from toolkit.adapters.capacity import this_machine
found = this_machine()
print(found.processors, found.files, found.memory > 0)
"""


@pytest.mark.parametrize(("hard", "files"), [(1024, 1024), (4096, 4096)])
def test_the_processors_and_files_are_those_that_this_process_may_use(
    hard: int, files: int
) -> None:
    argv = [sys.executable, "-c", ASK, str(hard)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["1", str(files), "True"]


def test_a_session_without_a_limit_counts_on_no_more_than_a_command_takes() -> None:
    argv = [sys.executable, "-c", ASK, "0"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    processors, files, knows = done.stdout.split()
    assert (processors, knows) == ("1", "True")
    assert 0 < int(files) <= 2**16
