"""The last of the main job: `prune`, after all other tests of the former engine, which goes with it."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from tests.system.main_job import REPOSITORY, run
from tests.system.served import FORMER, TWO_ENGINES, Served, former_stays

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


def test_prune_cleans_up_and_leaves_the_logs(served: Served) -> None:
    with former_stays() if TWO_ENGINES else nullcontext():
        removed = json.loads(served.lab.toolkit("prune", "--keep", "1", "--yes", "--json"))
        left = sorted(each.name for each in served.lab.root.glob("engines/*"))
    engines = removed["removed"]["hosts"]["localhost"]["engines"]
    # No release that is kept runs with the former one.
    assert [each.split("-")[1] for each in engines] == ([FORMER] if TWO_ENGINES else [])
    assert [each.split("-")[1] for each in left] == ["0.32.0"]
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
