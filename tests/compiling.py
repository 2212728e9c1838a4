"""Workers compile the tests' modules together, and not each of them all.

In a fresh clone nothing is compiled, and all workers read all modules in one order at one time: each compiled every
module, which takes a processor longer than all else before the first test. Here each worker first reads a part of its
own, and then finds what the others have compiled.
"""

from __future__ import annotations

import importlib

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Read the part of this worker where a run has several workers and reads all tests."""
    config = session.config
    given: dict[str, object] = getattr(config, "workerinput", {})
    if not given or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    count, number = int(str(given["workercount"])), int(str(given["workerid"]).removeprefix("gw"))
    for file in sorted(config.rootpath.glob("tests/*/test_*.py"))[number::count]:
        if config.hook.pytest_ignore_collect(collection_path=file, config=config) is not True:
            importlib.import_module(
                ".".join(file.relative_to(config.rootpath).with_suffix("").parts)
            )
