"""`toolkit rollback` to weights of another repository: the plan says it, and another owner's are asked for by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.cli.shell import Prompt
from tests.workflows.world import World, release
from toolkit.cli.commands.rollback import _number
from toolkit.domain.deployment.release import Release
from toolkit.errors import InputError

FLEET = "all:\n  hosts:\n    gpu1: {ansible_host: 10.0.0.1}\n"


@pytest.fixture
def world(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(prompt.place)
    (prompt.place / "fleet.yaml").write_text(FLEET)
    (prompt.place / "registry.yaml").write_text("models:\n  tiny: {}\n")
    prompt.set("TOOLKIT_FLEET", prompt.place / "fleet.yaml")
    prompt.set("TOOLKIT_REGISTRY", prompt.place / "registry.yaml")
    monkeypatch.setattr(
        "toolkit.cli.changing.change.open_members", lambda *_, **__: world.command()
    )
    return world


def deploy(world: World, first: str, second: str) -> None:
    world.deploy(replace(release(1), source=first))
    world.deploy(replace(release(2), source=second))


def test_a_rollback_to_another_owners_weights_is_not_what_yes_answers(
    prompt: Prompt, world: World
) -> None:
    deploy(world, "acme/tiny", "mallory/tiny")
    said = prompt("rollback", "tiny", "--yes")
    assert (said.code, said.out) == (3, "")
    assert "note: tiny #1 (v1) is of acme/tiny, the serving tiny #2 (v2) is of mallory/tiny" in (
        said.err
    )
    assert said.err.endswith(
        "error: this goes back to the weights of acme/tiny, which is another owner's\n"
        "hint: toolkit rollback tiny --yes --source acme/tiny\n"
    )
    named = prompt("rollback", "tiny", "--to", "#1", "--host", "gpu1", "--yes")
    assert named.err.endswith(
        "hint: toolkit rollback tiny --to '#1' --host gpu1 --yes --source acme/tiny\n"
    )
    assert prompt("rollback", "tiny", "--yes", "--source", "acme/other").code == 3
    assert world.serving() == {"gpu1": "v2"}

    assert prompt("rollback", "tiny", "--source", "acme/tiny", "--yes").code == 0
    assert world.serving() == {"gpu1": "v1"}


def test_a_rollback_to_another_repository_of_the_same_owner_is_said(
    prompt: Prompt, world: World
) -> None:
    deploy(world, "acme/tiny", "Acme/tiny-awq")
    said = prompt("rollback", "tiny", "--yes")
    assert said.code == 0
    assert "tiny #1 (v1) is of acme/tiny, the serving tiny #2 (v2) is of Acme/tiny-awq" in said.err


def test_the_plan_of_such_a_rollback_says_it_in_json_and_a_dry_run_needs_no_answer(
    prompt: Prompt, world: World
) -> None:
    deploy(world, "acme/tiny", "mallory/tiny")
    said = prompt("rollback", "tiny", "--dry-run", "--json")
    notes = json.loads(said.out)["plan"]["hosts"]["gpu1"]["notes"]
    assert notes == ["tiny #1 (v1) is of acme/tiny, the serving tiny #2 (v2) is of mallory/tiny"]
    refused = json.loads(prompt("rollback", "tiny", "--yes", "--json").out)
    assert refused["error"]["kind"] == "refused"


def test_a_rollback_within_one_repository_says_nothing_of_it(prompt: Prompt, world: World) -> None:
    deploy(world, "acme/tiny", "acme/tiny")
    said = prompt("rollback", "tiny", "--yes")
    assert said.code == 0
    assert "acme/tiny" not in said.err


@pytest.mark.parametrize("target", ["v1", "1", "#1"])
def test_a_rollback_goes_to_a_release_or_to_a_version(
    prompt: Prompt, world: World, target: str
) -> None:
    deploy(world, "acme/tiny", "acme/tiny")
    assert prompt("rollback", "tiny", "--to", target, "--yes").code == 0
    assert world.serving() == {"gpu1": "v1"}


class Releases:
    """A history whose releases have these versions, by number."""

    def __init__(self, **versions: str) -> None:
        self._versions = {int(number[1:]): version for number, version in versions.items()}

    def releases(self, _: str) -> list[tuple[Release, str]]:
        return [
            (replace(release(number), version=version), "")
            for number, version in self._versions.items()
        ]


@pytest.mark.parametrize(
    ("target", "versions", "number"),
    [
        ("2507", {"r1": "v1", "r4": "2507", "r5": "2507"}, 5),
        ("2", {"r1": "2", "r2": "2"}, 2),
        ("#2", {"r1": "2", "r2": "v2"}, 2),
        ("2", {"r1": "v1", "r2": "v2"}, 2),
        # A release of another ops machine is not in this history.
        ("7", {"r1": "v1"}, 7),
        ("0012", {"r3": "0012"}, 3),
    ],
)
def test_a_version_may_be_named_by_digits(
    target: str, versions: dict[str, str], number: int
) -> None:
    assert _number("tiny", target, Releases(**versions)) == number  # type: ignore[arg-type]


def test_digits_that_are_a_release_and_another_version_are_asked_for_again() -> None:
    with pytest.raises(InputError) as caught:
        _number("tiny", "3", Releases(r3="v3", r4="3", r5="3"))  # type: ignore[arg-type]
    assert caught.value.message == "3 is release #3 (v3) and a version, which has #5"
    assert caught.value.hint == "toolkit rollback tiny --to '#3', or --to '#5'"


@pytest.mark.parametrize("target", ["v9", "9", " ", "-1", "1.0", "٣"])
def test_a_release_or_version_that_is_not_there_is_wrong_input(
    prompt: Prompt, world: World, target: str
) -> None:
    deploy(world, "acme/tiny", "acme/tiny")
    said = prompt("rollback", "tiny", "--to", target, "--yes")
    assert (said.code, said.out) == (2, "")
    assert "hint: toolkit releases tiny" in said.err
