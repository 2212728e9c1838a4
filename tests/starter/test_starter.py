"""The starter: a server's core and worker are forked ahead, and are the processes that the server would have started.

The engine is a stand-in: a package of its name. Its server starts a core by `multiprocessing`, and that a worker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[2] / "playbooks/roles/replica/files"
# Each process tells its name and when its modules were loaded, and waits for a word or the end of its pipe.
SERVER = """
import json, multiprocessing, os, random, sys

def tell(who):
    from vllm.v1.engine import core
    print(json.dumps({
        "who": who, "pid": os.getpid(), "parent": os.getppid(), "loaded": core.AT, "dice": random.random(),
        "environ": dict(os.environ), "main": sys.modules["__main__"].__name__, "argv": sys.argv,
        "title": multiprocessing.current_process().name,
    }), flush=True)

def worker(pipe):
    tell("worker")
    pipe.send(os.getpid())
    pipe.recv()
    sys.exit(7)

def core(pipe):
    os.environ.update(json.loads(os.environ.get("CORE_SETS", "{}")))
    mine, theirs = CONTEXT.Pipe()
    child = CONTEXT.Process(target=worker, args=(theirs,), name="Worker")
    child.start()
    tell("core")
    pipe.send((mine.recv(), child.pid))
    pipe.recv()
    mine.send("end")
    child.join()
    pipe.send(child.exitcode)

CONTEXT = multiprocessing.get_context("spawn")

def main():
    for each in open(f"/proc/self/task/{os.getpid()}/children").read().split() if "LOSE" in os.environ else ():
        os.kill(int(each), 9)
    os.environ.update(json.loads(os.environ["SERVER_SETS"]))
    mine, theirs = CONTEXT.Pipe()
    child = CONTEXT.Process(target=core, args=(theirs,), name="Core")
    child.start()
    tell("server")
    theirs.close()
    said = mine.recv()
    if "KILL" in os.environ:
        os.kill(child.pid, 9)
        child.join()
        print(json.dumps({"who": "end", "said": said, "codes": [child.exitcode], "alive": child.is_alive()}))
        return
    mine.send("end")
    code = mine.recv()
    child.join()
    print(json.dumps({"who": "end", "said": said, "codes": [child.exitcode, code], "argv": sys.argv}))

if __name__ == "__main__":
    main()
"""
SCRIPT = (
    f"#!{sys.executable}\nfrom vllm.server import main\nif __name__ == '__main__':\n    main()\n"
)
TIMED = "import time\nAT = time.time()\n"
# It runs for as long as the process.
THREADED = (
    TIMED
    + "import threading; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
)
SETS = {
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "TORCHINDUCTOR_CPP_DYNAMIC_THREADS": "1",
    "NUMEXPR_MAX_THREADS": str(len(os.sched_getaffinity(0))),
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_DISABLE_SHARED_EXPERTS_STREAM": "1",
    "VLLM_SSM_CONV_STATE_LAYOUT": "SD",
    "LOCAL_WORLD_SIZE": "1",
}


class Engine:
    """The stand-in in `place`; `core` is the text of its core's module."""

    def __init__(self, place: Path, core: str = TIMED) -> None:
        self.place, self.program = place, place / "bin" / "engine"
        file = place / "vllm" / "v1" / "engine" / "core.py"
        file.parent.mkdir(parents=True)
        file.write_text(core)
        (place / "vllm" / "server.py").write_text(SERVER)
        self.program.parent.mkdir()
        self.program.write_text(SCRIPT)
        self.program.chmod(0o755)

    def start(self, *words: str, sets: dict[str, str] = SETS, **more: str) -> subprocess.Popen[str]:
        """Run the starter with `words`; the server changes its environment by `sets` before it starts its core."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = {
            **kept,
            "PYTHONPATH": f"{FILES}:{self.place}",
            "SERVER_SETS": json.dumps(sets),
            "VLLM_SSM_CONV_STATE_LAYOUT": "SD",
            **more,
        }
        return subprocess.Popen(
            [sys.executable, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, counts: str = "1,1", **more: Any) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Return what each process told, and the lines of the log."""
        process = self.start(
            "-m", "toolkit_starter", counts, str(self.program), "serve", "--a", **more
        )
        told, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
        return {each["who"]: each for each in map(json.loads, told.splitlines())}, log.splitlines()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def test_core_and_worker_are_begun_ahead_and_are_children_of_those_that_want_them(
    engine: Engine,
) -> None:
    told, log = engine.run()
    core, worker, server = told["core"], told["worker"], told["server"]
    assert log == [
        f"(toolkit) a process begun ahead is used: {each['pid']}" for each in (core, worker)
    ]
    assert (core["parent"], worker["parent"]) == (server["pid"], core["pid"])
    assert told["end"]["said"] == [worker["pid"], worker["pid"]]
    assert told["end"]["codes"] == [0, 7]
    # The modules are loaded once, and no process draws what another has drawn.
    assert core["loaded"] == worker["loaded"] == server["loaded"]
    assert len({core["dice"], worker["dice"], server["dice"]}) == 3


def test_they_are_as_multiprocessing_would_have_started_them(engine: Engine) -> None:
    ahead, _ = engine.run()
    plain, log = engine.run("0,0")
    assert log == []
    for who in ("server", "core", "worker", "end"):
        for name in ("environ", "main", "argv", "title", "codes"):
            assert ahead[who].get(name) == plain[who].get(name), (who, name)


def test_another_environment_than_expected_starts_the_core_as_without_the_starter(
    engine: Engine,
) -> None:
    told, log = engine.run(sets={**SETS, "OMP_NUM_THREADS": "3", "LOCAL_WORLD_SIZE": "2"})
    assert log == [
        "(toolkit) a process begun ahead is not used: these variables differ: LOCAL_WORLD_SIZE, OMP_NUM_THREADS"
    ]
    assert told["core"]["environ"]["OMP_NUM_THREADS"] == "3" and told["end"]["codes"] == [0, 7]


def test_a_core_that_changes_the_environment_gets_a_worker_of_its_own(engine: Engine) -> None:
    told, log = engine.run(CORE_SETS='{"OMP_NUM_THREADS": "3"}')
    assert log[0].endswith(f"is used: {told['core']['pid']}")
    assert log[1].endswith("these variables differ: OMP_NUM_THREADS")
    assert told["worker"]["environ"]["OMP_NUM_THREADS"] == "3" and told["end"]["codes"] == [0, 7]


def test_nothing_is_forked_from_a_process_with_threads(tmp_path: Path) -> None:
    told, log = Engine(tmp_path, THREADED).run()
    assert log[0] == (
        "(toolkit) no process is begun ahead, because the engine's modules run threads: 1"
    )
    assert told["end"]["codes"] == [0, 7]


def test_a_lost_process_is_started_as_without_the_starter(engine: Engine) -> None:
    told, log = engine.run(LOSE="1")
    assert log == ["(toolkit) a process begun ahead is not used: it has ended or did not answer"]
    assert told["end"]["codes"] == [0, 7]


def test_the_end_of_the_core_is_seen_by_its_server(engine: Engine) -> None:
    told, _ = engine.run(KILL="1")
    assert (told["end"]["codes"], told["end"]["alive"]) == ([-signal.SIGKILL], False)


def test_a_python_without_the_engine_runs_the_program_alone(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.program.write_text(f"#!{sys.executable}\nimport sys; print(sys.argv)")
    (tmp_path / "vllm").rename(tmp_path / "other")
    process = engine.start("-m", "toolkit_starter", "1,1", str(engine.program), "serve")
    assert process.communicate(timeout=60) == (f"['{engine.program}', 'serve']\n", "")


def test_processes_that_nobody_needs_end_with_their_server(engine: Engine) -> None:
    engine.program.write_text("import time; print('up', flush=True); time.sleep(60)")
    process = engine.start("-m", "toolkit_starter", "1,1", str(engine.program))
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    until(lambda: len(waiting(process.pid)) == 2)
    begun = waiting(process.pid)
    process.kill()
    process.communicate()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in begun))


# Its object is freed where the interpreter is torn down, as vLLM's are, which makes all objects the collector's again.
ENDING = (
    TIMED
    + """
import atexit, gc, os

class Module:
    def __del__(self, write=os.write):
        write(2, b"torn down\\n")

KEPT = Module()
atexit.register(lambda: (gc.unfreeze(), os.write(2, b"ended in order\\n")))
"""
)


def test_a_process_ends_in_order_and_tears_no_interpreter_down(tmp_path: Path) -> None:
    told, log = Engine(tmp_path, ENDING).run()
    assert told["end"]["codes"] == [0, 7]
    assert (log.count("ended in order"), log.count("torn down")) == (3, 0)


@pytest.mark.parametrize(
    ("ends", "code", "last"),
    [
        ("pass", 0, []),
        ("sys.exit()", 0, []),
        ("sys.exit(3)", 3, []),
        ("sys.exit('no model')", 1, ["no model"]),
        ("raise ValueError('no model')", 1, ["ValueError: no model"]),
        (
            "threading.Thread(target=lambda: time.sleep(0.2) or os.write(2, b'waited')).start()",
            0,
            ["waited"],
        ),
        (
            "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
            -signal.SIGINT,
            ["KeyboardInterrupt"],
        ),
        ("sys.stdout.close()", 0, []),
    ],
)
def test_the_server_ends_with_its_own_exit_code(
    engine: Engine, ends: str, code: int, last: list[str]
) -> None:
    engine.program.write_text(f"import os, signal, sys, threading, time\nprint('up')\n{ends}\n")
    process = engine.start("-m", "toolkit_starter", "1,1", str(engine.program))
    told, log = process.communicate(timeout=60)
    assert (process.returncode, told, log.splitlines()[-1:]) == (code, "up\n", last)


# As in vLLM: it keeps what it has found, and looks at a class in a process of its own otherwise.
REGISTRY = """
import json, os, types

def _run_in_subprocess(look):
    raise RuntimeError("another process loads everything anew")

def look():
    from vllm.v1.engine import core
    return {"pid": os.getpid(), "loaded": core.AT, "plugins": PLUGINS}

def inspect():
    if os.path.exists("known.json"):
        return
    print("looked", flush=True)
    with open("known.json", "w") as file:
        json.dump(_run_in_subprocess(look), file)

PLUGINS = []
ModelRegistry = types.SimpleNamespace(models={"Known": types.SimpleNamespace(inspect_model_cls=inspect)})
"""
PLUGIN = """
from vllm.model_executor.models import registry

def load_general_plugins():
    registry.PLUGINS.append(1)
"""


def with_model(place: Path, config: str) -> Engine:
    """The stand-in with a registry of classes, in the directory of a model with this configuration."""
    engine = Engine(place)
    registry = place / "vllm" / "model_executor" / "models" / "registry.py"
    registry.parent.mkdir(parents=True)
    registry.write_text(REGISTRY)
    (place / "vllm" / "plugins.py").write_text(PLUGIN)
    (place / "config.json").write_text(config)
    return engine


def test_the_classes_of_a_model_are_known_before_the_server_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = with_model(tmp_path, '{"architectures": ["Other", "Known"]}')
    told, _ = engine.run()
    known = json.loads((tmp_path / "known.json").read_text())
    assert known["pid"] not in [each["pid"] for each in told.values() if "pid" in each]
    assert (known["loaded"], known["plugins"]) == (told["server"]["loaded"], [1])
    before = (tmp_path / "known.json").stat()
    engine.run()
    assert (tmp_path / "known.json").stat() == before


@pytest.mark.parametrize(
    "config", ["", "[]", "{}", '{"architectures": 1}', '{"architectures": ["Known"]}']
)
def test_classes_that_cannot_be_looked_at_ahead_are_left_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = with_model(tmp_path, config)
    (tmp_path / "vllm" / "plugins.py").write_text("raise ImportError('no plugins')")
    told, log = engine.run()
    assert told["end"]["codes"] == [0, 7]
    assert [each for each in log if "is used" in each] == log
    assert not (tmp_path / "known.json").exists()


# As vLLM has it: whoever waits looks all the time for a second after a step, and then sleeps until a notice.
CONDITION = """
import json, time

class SpinCondition:
    def __init__(self):
        self.last_read, self.busy_loop_s, self.waits = time.monotonic(), 1.0, []

    def wait(self, timeout_ms=None):
        looks = time.monotonic() <= self.last_read + self.busy_loop_s
        self.waits.append("look" if looks else timeout_ms)
"""
WAITS = """
import json, time
from toolkit_starter import engine
from vllm.distributed.device_communicators.shm_broadcast import SpinCondition

engine.rest_between_steps()
step = SpinCondition()
kept = step.last_read = time.monotonic() + 60
step.wait(5000)
for ago in (0.1, 0.9, 2):
    kept = step.last_read = time.monotonic() - ago
    for longest in (5000, 2, None):
        step.wait(longest)
    assert step.last_read == kept
print(json.dumps(step.waits))
"""


def test_who_waits_for_the_next_step_sleeps_soon_after_the_last(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    module = tmp_path / "vllm" / "distributed" / "device_communicators" / "shm_broadcast.py"
    module.parent.mkdir(parents=True)
    module.write_text(CONDITION)
    process = engine.start("-c", WAITS)
    told, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    # A second after a step it is vLLM's own sleep.
    assert json.loads(told) == ["look", 5, 2, 5, 5, 2, 5, 5000, 2, None]


def waiting(pid: int) -> list[int]:
    """Return the pids of all descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    below = [int(each) for each in children.read_text().split()] if children.exists() else []
    return below + [each for child in below for each in waiting(child)]


def until(true: Callable[[], bool]) -> None:
    """Return once it is true; fails after 50 seconds, less than the server lives."""
    end = time.monotonic() + 50
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
