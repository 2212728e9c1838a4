"""What the main job has brought is verified, pulled from the mirror and looked at by an engine; then it stops."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import urllib.error
from pathlib import Path

import pytest

from tests.planning.facts import GB, host, version
from tests.system.main_job import WHO, run
from tests.system.served import Served
from toolkit.domain.accelerator import Accelerator
from toolkit.planning.engines import engine_named

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


def test_verify_names_a_tampered_file_and_a_repair_takes_it_out_of_use(served: Served) -> None:
    # Adapters have snapshots as well, without this file.
    victim = min((served.lab.root / "snapshots").glob("[0-9a-f]*/config.json"))
    snapshot, text = victim.parent, victim.read_text()
    code, _ = run(served, "verify")
    assert code == 0

    victim.unlink()
    victim.write_text(text.replace("silu", "gelu"))
    code, said = run(served, "verify")
    assert code == 6
    assert f"host {snapshot.name[:12]}: config.json: sha256" in said

    code, said = run(served, "verify", "--repair")
    assert (code, "removed snapshot" in said) == (6, True)
    assert not snapshot.exists()


def test_what_runs_in_the_perimeter_pulls_from_the_mirror(served: Served, tmp_path: Path) -> None:
    python = next((served.lab.root / "engines").glob("vllm-0.32.0-*/bin/python"))
    done = subprocess.run(
        [python, "-c", _PULL, "local/tiny", served.revisions["v1"], served.endpoint],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "HF_HOME": str(tmp_path / "hf"),
            "HF_ENDPOINT": served.endpoint,
            "DO_NOT_TRACK": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "Qwen3Config Qwen3ForCausalLM RevisionNotFoundError"


_PULL = """
import sys
repo, revision, endpoint = sys.argv[1:]
from huggingface_hub import snapshot_download
from huggingface_hub.errors import RevisionNotFoundError
from transformers import AutoModelForCausalLM
from vllm.transformers_utils.config import get_config
config = get_config(repo, trust_remote_code=False, revision=revision)
model = AutoModelForCausalLM.from_pretrained(repo, revision=revision)
try:
    snapshot_download(repo, revision="f" * 40)
except RevisionNotFoundError as error:
    print(type(config).__name__, type(model).__name__, type(error).__name__)
"""


def test_on_cuda_no_kernel_is_compiled_and_no_version_anew(served: Served) -> None:
    (engine,) = served.lab.root.glob("engines/vllm-0.32.0-cpu-*/.complete")
    vllm, asked_for = engine_named("vllm"), version(resources={"memory": 40 * GB, "devices": 2})
    environment = vllm.environment(asked_for, Accelerator.CUDA, GB)
    words = vllm.arguments(asked_for, Accelerator.CUDA, host())
    script = Path(__file__).with_name("compiles_on_cuda.py")
    # The host's snapshots also hold adapters and broken weights, which no engine takes for a model.
    snapshots = [served.lab.upstream / name for name in ("v1", "v2")]
    asked = subprocess.run(
        [engine.parent / "bin" / "python", script, *snapshots],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(served.lab.directory),
            "TMPDIR": str(served.lab.directory),
            "OPTIONS": shlex.join(words),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert asked.returncode == 0, asked.stderr[-4000:]
    said = json.loads(asked.stdout.splitlines()[-1])
    assert set(said["released"].values()) == {False}
    # Left alone, vLLM needs CUDA's compiler for each.
    assert said["bare"] == {"sampler": True, "multiplication": True, "sums": True}
    assert said["rules"] == ["triton", "flashinfer"]
    # Neither does a lock on CUDA have Humming, which vLLM would take on Hopper.
    assert said["experts"] == ["MARLIN", "HUMMING"]
    # Versions with the same configuration share their compiled graphs, because no digest is in the model's path.
    (first, first_by_path), (second, second_by_path) = said["keys"]
    assert first == second
    assert first_by_path != second_by_path


def test_stop_takes_the_model_out_of_service(served: Served) -> None:
    served.lab.toolkit("stop", "tiny", "--yes")
    assert served.slots() == {}
    with pytest.raises(urllib.error.HTTPError) as caught:
        served.lab.ask(WHO)
    with caught.value as answer:
        assert answer.code == 404
