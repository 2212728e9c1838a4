"""The last of the main job: `prune`, after all other tests of the former engine, which goes with it."""

from __future__ import annotations

import json

import pytest

from tests.system.main_job import REPOSITORY, TWO_ENGINES, run
from tests.system.served import Served

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


def test_prune_cleans_up_and_leaves_the_logs(served: Served) -> None:
    removed = json.loads(served.lab.toolkit("prune", "--keep", "1", "--yes", "--json"))["removed"]
    engines = removed["hosts"]["localhost"]["engines"]
    # No release that is kept runs with the former one.
    assert [each.split("-")[1] for each in engines] == (["0.31.0"] if TWO_ENGINES else [])
    assert len(list((served.lab.root / "snapshots").iterdir())) <= 1
    code, said = run(served, "logs", "tiny", "--slot", "green")
    assert code == 0
    # the last words of vLLM's own main process
    assert "(APIServer pid=" in said


def test_a_model_that_no_device_holds_is_refused_before_any_download(served: Served) -> None:
    registry = REPOSITORY / "model_registry.yaml"
    code, said = run(served, "deploy", "qwen-7b", "--yes", "--registry", str(registry))
    assert code == 3
    assert "CUDA device; there is no NVIDIA device" in said
