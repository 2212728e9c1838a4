"""What tests of several kinds use."""

from __future__ import annotations

import gc
import os
import re
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.adapters.history_lab import Clock
from tests.adapters.postgres_lab import PostgresLab, postgres_server, require_postgresql
from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import require_hosts
from tests.pace import Pace, paced
from toolkit.adapters.history import sqlite
from toolkit.adapters.history.database import Address, read_address
from toolkit.adapters.history.history import History

# A table at the end of each run shows what its files cost.
pytest_plugins = ["tests.processor_time", "tests.compiling"]

# pytest gives its workers a width, which would fold the tables of commands.
os.environ.pop("COLUMNS", None)

# The files of a group share what exists once at a time or takes long to make: one worker runs them all.
GROUPS = (
    # Real vLLM: its processes ask for the processor all the time, so that replicas of two files at once, on two
    # processors, came to a token in seconds. First the host that is this machine, in the main job's order: `prune`
    # finds no former engine in use.
    (
        "tests/system/test_main_job.py",
        "tests/system/test_main_job_clients.py",
        "tests/system/test_main_job_faults.py",
        "tests/system/test_main_job_end.py",
        "tests/system/test_use_former.py",
        "tests/system/test_main_job_prune.py",
        "tests/system/test_kinds.py",
        "tests/system/test_fleet_vllm.py",
        "tests/system/test_fleet_vllm_span.py",
        "tests/system/test_use.py",
    ),
    # a host that is this very machine, and one with systemd
    (
        "tests/adapters/test_escape.py",
        "tests/adapters/test_host_contract.py",
        "tests/adapters/test_host_answers_contract.py",
        "tests/adapters/test_host_guard_contract.py",
        "tests/adapters/test_host_stock_contract.py",
        "tests/adapters/test_host_real.py",
        "tests/adapters/test_engine_beside.py",
        "tests/adapters/test_host_ends.py",
        "tests/adapters/test_host_systemd.py",
        "tests/adapters/test_perimeter.py",
        "tests/adapters/test_answered.py",
    ),
)
# What takes longest comes first, so that no worker begins with it when the others have nothing left.
FIRST = (
    *GROUPS[0],
    "tests/system/test_fleet_job.py",
    "tests/walk/test_fleet.py",
    "tests/system/test_fleet_adapters.py",
    *GROUPS[1],
    "tests/system/test_fleet_span.py",
    "tests/walk/test_operations.py",
    "tests/walk/test_readme.py",
    "tests/fleet/test_provision.py",
    "tests/adapters/test_distribution_hosts.py",
    "tests/test_install.py",
    "tests/planning/test_alerts.py",
    "tests/fuzz/test_parsers.py",
)
SYSTEM = "system"
REPO = Path(__file__).parents[1]

# What a shell starts in the background ignores Ctrl-C, and so does all that it starts. Some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test writes into the history of whoever runs it, or asks a Prometheus of theirs.
for _name in ("TOOLKIT_HISTORY", "TOOLKIT_PROMETHEUS", "TOOLKIT_PROMETHEUS_CREDENTIALS"):
    os.environ.pop(_name, None)


# Tests open thousands of histories, and no test cuts the power of this machine. Commands in processes of their own
# write as they do for users.
sqlite.SYNCHRONOUS = "OFF"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep Python from searching the tests themselves for garbage: they stay, and are most of what there is."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# HAProxy gets its master's socket by the number of the file, and takes none above some five hundred.
OPEN_FILES = 200
_collected_at = [OPEN_FILES]


def pytest_runtest_logfinish() -> None:
    """Close what earlier tests left open in cycles of objects: Python collects those of a large heap rarely."""
    if _open_files() > _collected_at[0]:
        gc.collect()
        _collected_at[0] = max(OPEN_FILES, _open_files() + 50)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def pace() -> Iterator[Pace]:
    """Seconds since the test began, as on a machine of its own."""
    with paced() as found:
        yield found


@pytest.fixture
def fleet() -> Iterator[Callable[..., FleetLab]]:
    """Boots hosts for this test: `fleet(3)`, or with the arguments of `fleet_lab`; skips where that cannot be."""
    require_hosts()
    with ExitStack() as stack:
        yield lambda hosts, **options: stack.enter_context(fleet_lab(hosts, **options))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresLab]:
    """A server for all tests, each with a database of its own; skips where that cannot be."""
    require_postgresql()
    with postgres_server() as lab:
        yield lab


@pytest.fixture(params=["sqlite", "postgresql"])
def history_place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | Address:
    """Where an empty history may be, of each kind."""
    if request.param == "sqlite":
        return tmp_path / "history.db"
    return read_address(request.getfixturevalue("postgres").new_database())


@pytest.fixture
def history(history_place: Path | Address) -> Iterator[History]:
    """An empty history of each kind, whose clock advances by one second with each call."""
    with closing(History(history_place, Clock())) as found:
        yield found


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m system`, do not read the many files without such a test: reading them takes a processor 17 s."""
    if config.option.markexpr != SYSTEM or collection_path.suffix != ".py":
        return None
    return not _may_be_of_system(collection_path) or None


def _may_be_of_system(file: Path) -> bool:
    """Whether the file has the mark of whole-system tests, or imports a module of tests that has it."""
    text = file.read_text("utf-8")
    names = re.findall(r"^from (tests(?:\.\w+)+) import ", text, re.MULTILINE)
    return _has_mark(text) or any(map(_marks, names))


@cache
def _marks(module: str) -> bool:
    file = REPO / f"{module.replace('.', '/')}.py"
    return file.is_file() and _has_mark(file.read_text("utf-8"))


def _has_mark(text: str) -> bool:
    return f"mark.{SYSTEM}" in text


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; fail where `-m system` would not read one that has such a test."""
    marked = {each.path for each in items if each.get_closest_marker(SYSTEM)}
    if unread := sorted(str(each) for each in marked if not _may_be_of_system(each)):
        raise pytest.UsageError(f"no mark of {SYSTEM} is seen in {', '.join(unread)}")
    places = {file: place for place, file in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(_file(item.nodeid), len(places)))


class FileByFile(LoadScopeScheduling):
    """Gives each worker whole files or groups of them, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        file = _file(nodeid)
        return next((group[0] for group in GROUPS if file in group), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileByFile:
    config.option.loadscopereorder = False
    return FileByFile(config, log)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]
