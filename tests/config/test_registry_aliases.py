"""The other names of a model: each leads to one model, and bad ones are refused with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config.registry.reading import load_registry
from toolkit.errors import InputError

COMMIT = "a09a35458c702b33eeacc393d103063234e8bc28"
MODEL = """\
  {name}:
    licence: apache-2.0
    openness: open-weights
    source: {{repo: acme/{name}}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 6GiB}}
    aliases: {aliases}
    versions:
      v1: {{revision: {commit}}}
      v2: {{revision: {commit}, aliases: {own}}}
"""


def written(directory: Path, aliases: str, own: str = "[]", other: str = "[]") -> Path:
    path = directory / "model_registry.yaml"
    tiny = MODEL.format(name="tiny", aliases=aliases, own=own, commit=COMMIT)
    large = MODEL.format(name="large", aliases=other, own="[]", commit=COMMIT)
    path.write_text(f"models:\n{tiny}{large}")
    return path


def test_a_version_has_the_names_of_its_model_or_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, "[Acme/Tiny, tiny-chat]", own="[tiny-next]")
    tiny = load_registry(path).model("tiny")
    assert tiny.version("v1").aliases == ("Acme/Tiny", "tiny-chat")
    assert tiny.version("v2").aliases == ("tiny-next",)


@pytest.mark.parametrize(
    ("aliases", "own", "other", "words"),
    [
        ("[tiny]", "[]", "[]", "'tiny' is the model's own name"),
        ("[large]", "[]", "[]", "'large' is a model"),
        ("[shared]", "[]", "[shared]", "'shared' is an alias of tiny already"),
        ("[]", "[shared]", "[shared]", "'shared' is an alias of tiny already"),
        ("[a, b, a]", "[]", "[]", "'a' is there twice"),
        ("['two words']", "[]", "[]", "'two words' is not a name that clients can request"),
        ("['a;b']", "[]", "[]", "'a;b' is not a name that clients can request"),
        ('["a\\nb"]', "[]", "[]", "is not a name that clients can request"),
        ("[/tiny]", "[]", "[]", "'/tiny' is not a name that clients can request"),
        ("[tіny]", "[]", "[]", "is not a name that clients can request"),
        ("tiny-chat", "[]", "[]", "list"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, aliases: str, own: str, other: str, words: str
) -> None:
    with pytest.raises(InputError, match=r"model_registry\.yaml") as caught:
        load_registry(written(tmp_path, aliases, own, other))
    assert words in caught.value.message
