"""Models of every kind become live, on one host and on three, with the check that is theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.planning.facts import host, version
from tests.planning.test_capabilities import facts_of, named
from tests.workflows.world import World, release
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.config.engine_locks import read_locks
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock
from toolkit.domain.files.snapshot import Snapshot
from toolkit.errors import NothingSuitableError, ReleaseFailedError
from toolkit.planning.release.build import build_release

MODELS = {
    "Qwen3-8B": "chat",
    "Qwen2.5-0.5B": "completion",
    "all-MiniLM-L6-v2": "embedding",
    "Qwen3-Embedding-0.6B": "embedding",
    "bge-reranker-v2-m3": "rerank",
    "a sentiment classifier": "classification",
    "whisper-large-v3": "transcription",
    "Qwen2.5-VL-7B": "chat",
}


def built(family: str, number: int = 1, **more: Any) -> Release:
    """Return the release of a version without checks of its own."""
    files = Snapshot("demo/tiny", f"{number:040x}", (), facts_of(named(family)))
    names = frozenset(["torchvision"])
    lock = EngineLock("vllm", "0.32.0", Accelerator.CPU, "3.11", "ab" * 32, "", 0, names=names)
    made = build_release(version(**more), files, lock, host(), number)
    # Digest and size of the files are those of the world.
    return replace(made, snapshot=release(number).snapshot, memory=3 * 10**9)


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, request.param)


def test_a_model_that_hears_is_not_started_with_an_engine_that_cannot_decode_sound() -> None:
    """The start of a large model would end at its check."""
    files = Snapshot("demo/tiny", "1" * 40, (), facts_of(named("whisper-large-v3")))
    lock = EngineLock("vllm", "0.32.0", Accelerator.CPU, "3.11", "ab" * 32, "", 0, sound=False)
    with pytest.raises(NothingSuitableError, match="has no packages that decode sound") as caught:
        build_release(version(), files, lock, host(), 1)
    hint = "toolkit engine lock 0.32.0 --accelerator cpu --python 3.11 --extra audio"
    assert caught.value.hint == hint
    assert not any(each.sound for each in read_locks(Path("/nonexistent")))


@pytest.mark.parametrize(
    ("family", "what"),
    {
        "Qwen2.5-Math-RM-72B": "a reward model (Qwen2ForRewardModel)",
        "Qwen2.5-Math-PRM-7B": "a reward model (Qwen2ForProcessRewardModel)",
        "internlm2-1_8b-reward": "a reward model (InternLM2ForRewardModel)",
        "bert-base-NER": "a classifier of tokens (BertForTokenClassification)",
    }.items(),
)
def test_a_model_that_no_client_could_ask_is_refused_by_its_name_before_a_start(
    family: str, what: str
) -> None:
    """vLLM has neither /classify nor /v1/embeddings for it, so its start would end at its check."""
    with pytest.raises(NothingSuitableError) as caught:
        built(family)
    assert caught.value.message == (
        f"tiny@v1 is {what}: the engine tells its scores of tokens at /pooling alone, where no check asks"
    )
    assert "kind" in caught.value.hint
    # A person knows better, with `hf-overrides` for example.
    assert built(family, kind="embedding").does is not None


def test_a_reward_model_with_one_score_for_a_text_is_served_as_what_orders_texts() -> None:
    assert [each.kind for each in built("Skywork-Reward-V2-Llama-3.1-8B").checks] == ["rerank"]


@pytest.mark.parametrize(("family", "kind"), MODELS.items())
def test_a_model_of_each_kind_is_deployed_without_a_word_about_it(
    world: World, family: str, kind: str
) -> None:
    made = built(family)
    assert made.does is not None
    assert [check.kind for check in made.checks] == [kind]
    assert world.deploy(made).changed
    assert set(world.serving()) == set(world.hosts)


def test_a_chat_is_no_check_of_an_embedding_model(world: World) -> None:
    made = replace(built("all-MiniLM-L6-v2"), checks=built("Qwen2.5-0.5B").checks)
    with pytest.raises(ReleaseFailedError) as caught:
        world.deploy(made)
    assert 'it answered HTTP 404: {"detail":"Not Found"}' in caught.value.message
    assert world.serving() == {}


@pytest.mark.parametrize("behaviour", [Behaviour.ERROR, Behaviour.EMPTY])
def test_an_embedding_model_that_gives_no_vector_takes_no_traffic(
    world: World, behaviour: Behaviour
) -> None:
    world.behave("v1", behaviour)
    with pytest.raises(ReleaseFailedError, match="asked for embedding of"):
        world.deploy(built("all-MiniLM-L6-v2"))
    assert world.serving() == {}


def test_tools_and_images_are_asked_for_once_after_a_start(world: World) -> None:
    for family, asked in {"Qwen3-8B": "get_weather", "Qwen2.5-VL-7B": "image_url"}.items():
        heard: list[str] = []

        def says(_: str, payload: Mapping[str, Any], heard: list[str] = heard) -> str:
            heard.append(json.dumps(payload))
            return "hello"

        for each in world.hosts.values():
            each.says = says
        world.deploy(built(family, 1 if asked == "get_weather" else 2))
        with_it = [each for each in heard if asked in each]
        assert len(with_it) == (2 if asked == "get_weather" else 1) * world.count


def test_an_engine_that_refuses_tools_is_found_before_traffic(world: World) -> None:
    made = built("Qwen3-8B")
    refused = "auto tool choice requires --enable-auto-tool-choice"
    for each in world.hosts.values():
        each.refuses = lambda payload: refused if "tools" in payload else ""
    with pytest.raises(
        ReleaseFailedError, match=f"asked with a tool, it answered HTTP 400: {refused}"
    ):
        world.deploy(made)
    assert world.serving() == {}
