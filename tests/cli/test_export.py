"""`toolkit export litellm`: the file, what is said about it, and what is refused."""

from __future__ import annotations

import pytest
import yaml

from tests.cli.shell import Prompt
from tests.cli.test_json import Fleet

CLOSED = "openai/gpt-6-luna"


@pytest.fixture(params=[1, 3], ids=["on one host", "on three"])
def serving(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Fleet:
    fleet = Fleet(prompt, monkeypatch, request.param)
    assert prompt("deploy", "tiny@v1", "--yes").code == 0
    return fleet


def mark_inside(fleet: Fleet) -> None:
    registry = fleet.prompt.place / "model_registry.yaml"
    text = registry.read_text()
    registry.write_text(text.replace("    versions:\n", "    inside: true\n    versions:\n", 1))


def test_the_file_has_what_serves_on_every_router_and_no_secret(serving: Fleet) -> None:
    said = serving.prompt("export", "litellm", "--output", "litellm.yaml")
    assert said.code == 0
    config = yaml.safe_load((serving.prompt.place / "litellm.yaml").read_text())
    assert {each["model_name"] for each in config["model_list"]} == {"tiny"}
    bases = [each["litellm_params"]["api_base"] for each in config["model_list"]]
    # these routers listen on loopback, each on its own host
    assert bases == ["http://127.0.0.1:8080/v1"]
    assert config["router_settings"]["fallbacks"] == []
    assert "1 entry of" in said.out


def test_a_router_on_the_loopback_of_its_host_is_no_entrance_where_others_are(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = Fleet(prompt, monkeypatch, 3)
    assert prompt("deploy", "tiny@v1", "--yes").code == 0
    path = prompt.place / "fleet.yaml"
    gate = "gpu1: {toolkit_gateway: true, router_bind: '*:8080', "
    path.write_text(path.read_text().replace("gpu1: {", gate))
    said = serving.prompt("export", "litellm", "--output", "litellm.yaml")
    config = yaml.safe_load((prompt.place / "litellm.yaml").read_text())
    bases = [each["litellm_params"]["api_base"] for each in config["model_list"]]
    assert bases == ["http://10.0.0.1:8080/v1"]
    assert (said.code, "on that host alone" in said.err) == (0, False)


def test_without_a_file_it_is_on_standard_output_alone(serving: Fleet) -> None:
    said = serving.prompt("export", "litellm", "--closed", f"tiny={CLOSED}")
    assert yaml.safe_load(said.out)["router_settings"]["fallbacks"] == [{"tiny": [CLOSED]}]


def test_a_model_inside_has_no_closed_one(serving: Fleet) -> None:
    mark_inside(serving)
    refused = serving.prompt("export", "litellm", "--closed", f"tiny={CLOSED}")
    assert (refused.code, refused.out) == (2, "")
    assert "marked `inside`" in refused.err
    assert serving.prompt("export", "litellm", "--inside").code == 0


def test_a_name_that_the_registry_has_given_to_a_model_inside_has_no_closed_one(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release that serves still has the name. Where the other model serves, its host may not answer now."""
    Fleet(prompt, monkeypatch, 1)
    registry = prompt.place / "model_registry.yaml"
    before = registry.read_text()
    named = before.replace("    versions:\n", "    aliases: [chat]\n    versions:\n", 1)
    registry.write_text(named)
    assert prompt("deploy", "tiny@v1", "--yes").code == 0
    assert prompt("export", "litellm", "--closed", f"chat={CLOSED}").code == 0
    entry = named.partition("  tiny:\n")[2]
    registry.write_text(f"{before}  own:\n    inside: true\n{entry}")
    refused = prompt("export", "litellm", "--closed", f"chat={CLOSED}")
    assert (refused.code, refused.out) == (2, "")
    assert "own is marked `inside`" in refused.err
    said = prompt("export", "litellm", "--closed", f"tiny={CLOSED}")
    listed = yaml.safe_load(said.out)["model_list"]
    assert [each["model_name"] for each in listed] == ["tiny", CLOSED]
    assert "left out, because they are inside: own" in said.err


def test_a_key_inside_is_given_to_no_gateway_with_a_closed_model(serving: Fleet) -> None:
    for words in (("clinic", "--inside"), ("office",)):
        assert serving.prompt("keys", "add", *words).code == 0
    closed = ("--closed", f"tiny={CLOSED}")
    refused = serving.prompt("export", "litellm", "--key", "clinic", *closed)
    assert (refused.code, refused.out) == (2, "")
    assert "clinic is marked `inside`" in refused.err
    assert serving.prompt("export", "litellm", "--key", "office", *closed).code == 0
    assert serving.prompt("export", "litellm", "--key", "clinic", "--inside").code == 0
    assert serving.prompt("export", "litellm", "--key", "nobody", *closed).code == 2


@pytest.mark.parametrize(
    "words", [("tiny",), ("=openai/x",), ("tiny=",), ("tiny=openai/x", "tiny=openai/y")]
)
def test_a_closed_model_in_another_form_is_refused(serving: Fleet, words: tuple[str, ...]) -> None:
    options = [each for word in words for each in ("--closed", word)]
    assert serving.prompt("export", "litellm", *options).code == 2


def test_a_fleet_that_serves_nothing_has_no_file(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fleet(prompt, monkeypatch, 1)
    said = prompt("export", "litellm", "--output", "litellm.yaml")
    assert said.code == 2
    assert "toolkit deploy" in said.err
    assert not (prompt.place / "litellm.yaml").exists()


def test_a_model_that_sleeps_is_in_the_file_as_it_is_when_awake(serving: Fleet) -> None:
    """A gateway that does not know it could never wake it."""
    before = serving.prompt("export", "litellm").out
    assert serving.prompt("sleep", "tiny", "--yes").code == 0
    assert serving.prompt("export", "litellm").out == before
    closed = serving.prompt("export", "litellm", "--closed", f"tiny={CLOSED}")
    assert yaml.safe_load(closed.out)["router_settings"]["fallbacks"] == [{"tiny": [CLOSED]}]
