"""What a killed program of a test leaves behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import kill_group

SHARED = Path("/dev/shm")
PROGRAM = """
import multiprocessing, time
from multiprocessing.shared_memory import SharedMemory
if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    lock, memory = spawn.Lock(), SharedMemory(create=True, size=4096)
    child = spawn.Process(target=time.sleep, args=(600,))
    child.start()
    print(memory.name, lock._semlock.name, flush=True)
    child.join()
"""


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared memory is no directory here")
def test_a_killed_group_leaves_nothing_in_shared_memory(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = [sys.executable, str(program)]
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as process,
    ):
        assert process.stdout is not None
        memory, lock = process.stdout.readline().split()
        made = [SHARED / memory, SHARED / f"sem.{lock.removeprefix('/')}"]
        assert [each.exists() for each in made] == [True, True]
        kill_group(process)
    assert [each.exists() for each in made] == [False, False]
