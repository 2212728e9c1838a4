"""The demo's model is made twice and comes out the same; its answers tell its versions apart."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from toolkit.adapters.sources.model_files import read_tensors

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


def make(python: Path, out: Path, *variants: str) -> dict[str, dict[str, str]]:
    subprocess.run(
        [python, REPOSITORY / "demo" / "make_model.py", out, "--variants", *variants],
        check=True,
        timeout=600,
        capture_output=True,
    )
    answers: dict[str, dict[str, str]] = json.loads((out / "answers.json").read_text())
    return answers


@pytest.fixture
def made(models: Path) -> Path:
    """The models as all tests have them."""
    return models


def test_every_answer_names_its_version_and_no_other(made: Path) -> None:
    answers = json.loads((made / "answers.json").read_text())
    assert answers["v1"].keys() == answers["v2"].keys() == answers["rubbish"].keys()
    for prompt in answers["v1"]:
        assert "v1" in answers["v1"][prompt]
        assert answers["v1"][prompt].replace("v1", "v2") == answers["v2"][prompt]
    assert set(answers["rubbish"].values()) == {""}


def test_a_variant_is_a_complete_model_that_everyone_can_read(made: Path) -> None:
    for variant in ("v1", "v2", "rubbish"):
        files = {path.name: path for path in (made / variant).iterdir()}
        assert files.keys() >= {
            "LICENSE", "README.md", "chat_template.jinja", "config.json", "generation_config.json",
            "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        }  # fmt: skip
        assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o644}
        assert files["README.md"].read_text().startswith("---\nlicense: apache-2.0\n")


def test_the_broken_one_looks_whole(made: Path) -> None:
    whole, broken = (
        (made / name / "model.safetensors").read_bytes() for name in ("v2", "broken-weights")
    )
    assert [(one, other) for one, other in zip(whole, broken, strict=True) if one != other] == [
        (ord("1"), ord("9")),
        (ord("6"), ord("9")),
    ]
    assert read_tensors(made / "broken-weights" / "model.safetensors")


def test_the_same_seed_gives_the_same_bytes(engine: Path, made: Path, tmp_path: Path) -> None:
    make(engine / "bin" / "python", tmp_path, "v2", "rubbish")
    for variant in ("v2", "rubbish"):
        first = {path.name: path.read_bytes() for path in (made / variant).iterdir()}
        second = {path.name: path.read_bytes() for path in (tmp_path / variant).iterdir()}
        assert first == second
