"""What each test file costs: the processor's seconds and the clock's, in a table at the end of a run.

On a busy machine durations say little, and on any machine they do not tell work from waiting. The processor's seconds
are those of the test's process and of all that it started: engines, routers, whole hosts. Where a worker may make a
cgroup of its own for that (root, cgroup v1), none are missed. Elsewhere those of processes that nobody waits for are.
"""

from __future__ import annotations

import os
import resource
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

CGROUPS = Path("/sys/fs/cgroup/cpuacct")
COLLECTION = "starting and collecting"
LINES = int(os.environ.get("COST_LINES", "25"))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Costs())


class Costs:
    """The sums of each file: tests, the processor's seconds, the clock's. Workers report, and their parent adds up."""

    def __init__(self) -> None:
        self._watch = Watch()
        self.tests: defaultdict[str, int] = defaultdict(int)
        self.processor: defaultdict[str, float] = defaultdict(float)
        self.clock: defaultdict[str, float] = defaultdict(float)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._add(COLLECTION, self._watch.since())
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[COLLECTION] = self.processor[COLLECTION], self.clock[COLLECTION]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._add(COLLECTION, getattr(node, "workeroutput", {}).get(COLLECTION, (0.0, 0.0)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        # What a fixture of a module costs belongs to the first test with it, and its end to the last.
        report.seconds = self._watch.since()
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        self.tests[file] += report.when == "call"
        self._add(file, getattr(report, "seconds", (0.0, 0.0)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("cost of test files", sep="=")
        for line in self.lines():
            terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        self._watch.close()

    def _add(self, file: str, seconds: tuple[float, float]) -> None:
        self.processor[file] += seconds[0]
        self.clock[file] += seconds[1]

    def lines(self) -> Iterator[str]:
        """Yield the table: the dearest files, and the sum of all."""
        yield f"{'processor':>11}{'clock':>9}{'tests':>7}"
        dearest = sorted(self.processor.items(), key=lambda each: -each[1])
        for file, seconds in dearest[:LINES]:
            yield f"{seconds:>9.1f} s{self.clock[file]:>7.0f} s{self.tests[file]:>7}  {file}"
        processor, clock, tests = (
            sum(each.values()) for each in (self.processor, self.clock, self.tests)
        )
        yield f"{processor:>9.1f} s{clock:>7.0f} s{tests:>7}  all"


class Watch:
    """Reads the seconds of this process and all that it starts."""

    def __init__(self) -> None:
        self._place = CGROUPS / f"toolkit-tests-{os.getpid()}"
        self._counted = _entered(self._place)
        self._last = self._now()

    def since(self) -> tuple[float, float]:
        """Return the processor's seconds and the clock's since the last call."""
        last, self._last = self._last, self._now()
        return self._last[0] - last[0], self._last[1] - last[1]

    def close(self) -> None:
        """Give the cgroup back."""
        if self._counted:
            self._counted = False
            # It stays where something else is still in it.
            with suppress(OSError):
                (CGROUPS / "cgroup.procs").write_text(str(os.getpid()))
                self._place.rmdir()

    def _now(self) -> tuple[float, float]:
        if self._counted:
            return int((self._place / "cpuacct.usage").read_text()) / 1e9, time.monotonic()
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used), time.monotonic()


def _entered(place: Path) -> bool:
    for left in CGROUPS.glob("toolkit-tests-*"):
        # Its run was killed, or ended a moment before the last process that it had started.
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            with suppress(OSError):
                left.rmdir()
    try:
        place.mkdir()
        (place / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return False
    return True
