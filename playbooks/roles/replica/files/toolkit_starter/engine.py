"""vLLM's modules and the environment in which its server starts processes. Nothing else here has the engine's names."""

from __future__ import annotations

import contextlib
import glob
import importlib
import importlib.util
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

PACKAGE = "vllm"

# The modules that a server, its core and a worker on the CPU load. They share most of them.
MODULES = (
    "vllm.entrypoints.cli.main",
    "vllm.entrypoints.cli.serve",
    "vllm.v1.engine.core",
    "vllm.v1.executor.multiproc_executor",
    "vllm.v1.worker.cpu_worker",
)
# OpenBLAS, in NumPy and beside it, starts threads where it is loaded, and a process with threads must not fork.
BLAS_THREADS = "OPENBLAS_NUM_THREADS"
# More than the classes of a model take to load. vLLM looks at them itself where they have taken longer.
KNOW_SECONDS = 120
# How long a process of an engine looks for its next step all the time, and then how long it sleeps between two looks.
LOOK_SECONDS = 0.002
REST_MILLISECONDS = 5


def installed() -> bool:
    """Whether this Python has the engine."""
    return importlib.util.find_spec(PACKAGE) is not None


def load() -> None:
    """Load the modules, but those that this version of the engine has not."""
    set_here = BLAS_THREADS not in os.environ
    os.environ.setdefault(BLAS_THREADS, "1")
    try:
        for each in MODULES:
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(each)
    finally:
        if set_here:
            del os.environ[BLAS_THREADS]


def permit_tiles() -> None:
    """Have the kernel permit the processor's tile registers (AMX) to this process and its forks, where it has them.

    vLLM's attention on the CPU uses them by what the processor says, and relies on oneDNN for the permission. oneDNN
    asks for it at the first large product. So a first request that is short, to a small model, ended the worker by
    SIGILL.
    """
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("torch.cpu")._init_amx()


def rest_between_steps() -> None:
    """Have vLLM's processes leave the processor to others while they wait for each other.

    A core and its worker hand each step over in shared memory (`shm_broadcast.py`). Whoever waits there looks all the
    time, and goes to sleep only a second after its last step. With a request each second that takes a whole processor,
    which a replica that starts beside it needs, or the very process that it waits for. vLLM's notice of a step wakes
    who sleeps here too.
    """
    name = f"{PACKAGE}.distributed.device_communicators.shm_broadcast"
    with contextlib.suppress(ImportError, AttributeError):
        condition = importlib.import_module(name).SpinCondition
        condition.wait = _resting(condition.wait)


def _resting(wait: Callable[..., None]) -> Callable[..., None]:
    """Return vLLM's `wait`, but that sleeps soon after a step, and then for moments."""

    def wait_or_rest(self: Any, timeout_ms: int | None = None) -> None:
        last, spins = getattr(self, "last_read", 0.0), getattr(self, "busy_loop_s", 0.0)
        if not LOOK_SECONDS < time.monotonic() - last <= spins:
            wait(self, timeout_ms)
            return
        self.last_read = -spins
        try:
            wait(
                self,
                REST_MILLISECONDS if timeout_ms is None else min(timeout_ms, REST_MILLISECONDS),
            )
        finally:
            self.last_read = last

    return wait_or_rest


def know_model() -> None:
    """Let vLLM note what it wants to know of the classes of the model in this directory, where it has not yet.

    It looks at a class in a process of its own, so that the server gets no CUDA context, and keeps what it finds in its
    cache (`models/registry.py`). That process loads all modules anew. A fork of this one has them. Where it fails,
    nothing is in the cache, and vLLM looks as without the starter.
    """
    try:
        with open("config.json") as file:
            names = [str(each) for each in json.load(file)["architectures"]]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(KNOW_SECONDS)
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            _look_at(names)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _look_at(names: Iterable[str]) -> None:
    """Have vLLM look at these classes in this process, as it does in its own."""
    registry: Any = importlib.import_module(f"{PACKAGE}.model_executor.models.registry")
    importlib.import_module(f"{PACKAGE}.plugins").load_general_plugins()
    registry._run_in_subprocess = lambda look: look()
    for each in names:
        if each in registry.ModelRegistry.models:
            registry.ModelRegistry.models[each].inspect_model_cls()


def expected(environment: Mapping[str, str], processors: int) -> dict[str, str]:
    """Return the environment in which a server with `environment` starts its core on the CPU.

    vLLM changes these variables while it loads and while it reads its arguments (`vllm/env_override.py`,
    `CpuPlatform.check_and_update_config`). Where it changes others, `ahead.py` finds the difference and the process is
    started as without the starter.
    """
    found = {
        **environment,
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TORCHINDUCTOR_CPP_DYNAMIC_THREADS": "1",
        "NUMEXPR_MAX_THREADS": str(processors),
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_DISABLE_SHARED_EXPERTS_STREAM": "1",
        "LOCAL_WORLD_SIZE": "1",
    }
    if _has_bfloat16():
        found.setdefault("VLLM_SSM_CONV_STATE_LAYOUT", "SD")
    if libraries := _preloaded(environment.get("LD_PRELOAD", "")):
        found["LD_PRELOAD"] = libraries
    return found


def _preloaded(before: str) -> str:
    """Return the libraries that the core and its workers load before all others: torch's libgomp, vLLM's tcmalloc."""
    found = [before]
    if not any(each in before for each in ("libomp", "libgomp", "libiomp")):
        torch = _directory("torch")
        places = (os.path.join(os.path.dirname(torch), "torch.libs"), os.path.join(torch, "lib"))
        found.append(_first(places, ("libgomp*.so*",)))
    if "libtcmalloc" not in before:
        own = (os.path.join(_directory(PACKAGE), "libs"),)
        found.insert(0, _first(own, ("libtcmalloc_minimal*.so*", "libtcmalloc.so*")))
    return ":".join(filter(None, found))


def _first(places: Iterable[str], patterns: Iterable[str]) -> str:
    """Return the first path that matches; empty where none does."""
    ways = (os.path.join(place, pattern) for pattern in patterns for place in places)
    return next((path for way in ways for path in glob.glob(way)), "")


def _has_bfloat16() -> bool:
    with open("/proc/cpuinfo") as file:
        return any("avx512_bf16" in line.split() for line in file if line.startswith("flags"))


def _directory(package: str) -> str:
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return places[0] if places else ""
