"""The memory that a replica was predicted to take, recorded beside what its engine reports."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.adapters.sources.model_files import read_directory
from toolkit.domain.engines.fit import FitRecord, ModelFiles, Prediction
from toolkit.domain.files.snapshot import Snapshot
from toolkit.planning.engines import engine_of
from toolkit.planning.fit.host_fit import predict_release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.domain.deployment.release import Release
    from toolkit.domain.hosts.facts import HostFacts
    from toolkit.workflows.tools import Tools

_READING = threading.Lock()


class FitRecording:
    """The figures of one start. Never raises: a deployment does not fail because of its figures."""

    def __init__(self, tools: Tools, facts: HostFacts, release: Release) -> None:
        """Begin to predict the memory of `release` on the host of `facts`, while the release starts there.

        A large model has tens of thousands of tensors, whose headers take seconds to read; a start takes longer.
        Reads from the store of this ops machine alone; without the files there nothing is kept.
        """
        self._tools, self._facts, self._release = tools, facts, release
        pool = ThreadPoolExecutor(1)
        self._predicted: Future[Prediction] = pool.submit(self._predict)
        pool.shutdown(wait=False)

    def keep(self, lines: Sequence[str]) -> None:
        """Record the prediction beside the figures in `lines`, the log that `HostPort.wait_ready` returns."""
        tools, release = self._tools, self._release
        try:
            actual = engine_of(release.engine).read_actual(lines)
            if not actual.known:
                return
            predicted, host = self._predicted.result(), self._facts.name
            tools.history.add_fit(
                FitRecord(release.model, release.number, host, predicted, actual, tools.clock())
            )
        except Exception as error:
            tools.say(f"the memory figures of {release.title} were not kept: {error}")

    def _predict(self) -> Prediction:
        stored = self._tools.supplies().snapshot(self._release)
        snapshot = Snapshot(self._release.source, self._release.revision, stored.files)
        # Hosts that start the release at the same time read its files once.
        with _READING:
            files = _read(stored.directory, snapshot)
        return predict_release(files, self._release, self._facts)


@lru_cache(maxsize=1)
def _read(directory: str, snapshot: Snapshot) -> ModelFiles:
    return read_directory(Path(directory), snapshot)
