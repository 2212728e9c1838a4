"""`toolkit outdated` and `toolkit update` as a person and a CI job see them."""

from __future__ import annotations

import pytest

from tests.cli.shell import Said, Shell
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.hub.errors import Fault

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 100}
LONG = "a-model-with-a-name-as-long-as-a-name-of-the-registry-may-be-63"


class Site:
    """A shell whose Hub is one in memory, with the model `tiny` pinned."""

    def __init__(self, shell: Shell, patch: pytest.MonkeyPatch) -> None:
        self.shell, self.hub = shell, FakeHub()
        for module in (
            "commands.registry",
            "commands.outdated",
            "commands.update",
            "opening.local_versions",
        ):
            patch.setattr(f"toolkit.cli.{module}.open_hub", lambda: self.hub)
        self.hub.publish("acme/tiny", FILES, licence="mit")
        text = shell.registry.read_text()
        shell.registry.write_text(text[: text.index("      v1:")])
        assert shell("registry", "pin", "tiny", "--as", "v1").code == 0

    def publish(self, **settings: object) -> str:
        files = {**FILES, "config.json": b'{"a": 1}'}
        return self.hub.publish("acme/tiny", files, **{"licence": "mit", **settings})  # type: ignore[arg-type]

    def outdated(self, *words: str) -> Said:
        return self.shell("outdated", "--no-engines", *words)


@pytest.fixture
def site(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(shell, monkeypatch)


def test_a_current_registry_ends_with_0(site: Site) -> None:
    said = site.outdated()
    assert said.code == 0
    assert said.out.splitlines()[0].split() == [
        "MODEL", "PINNED", "SERVES", "TRACKED", "BEHIND", "STATE",
    ]  # fmt: skip
    assert "current" in said.out


def test_an_outdated_model_ends_with_9_and_names_the_next_command(site: Site) -> None:
    site.publish()
    said = site.outdated()
    assert said.code == 9
    assert "error: not current: tiny" in said.err
    assert "hint: toolkit update tiny" in said.err
    document = site.outdated("--json").json()
    assert document["models"]["tiny"]["state"] == "outdated"
    assert document["error"]["exit_code"] == 9


def test_a_commit_that_is_dated_in_the_future_is_said_to_be(site: Site) -> None:
    site.publish(date=7_226_582_400.0)
    said = site.outdated()
    assert said.code == 9
    assert "its newest commit is dated 2199-01-01 00:00:00 UTC, in the future" in said.out


def test_an_older_engine_names_the_command_that_locks_a_newer_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.cli.commands.outdated.newest", lambda *_: "99.0.1")
    said = site.shell("outdated")
    assert said.code == 9
    command = "toolkit engine lock 99.0.1 --accelerator cpu"
    assert f"schedules upgrade no engines: {command}, then" in said.out
    assert f"hint: {command}\n" in said.err


def test_a_silent_hub_ends_with_5_and_says_what_is_not_known(site: Site) -> None:
    site.hub.fail("acme/tiny", Fault.OFFLINE)
    said = site.outdated()
    assert said.code == 5
    assert "tiny: not known: acme/tiny cannot be asked for: HF_HUB_OFFLINE is set" in said.out
    assert site.outdated("--json").json()["models"]["tiny"]["state"] == "unknown"


def test_the_table_fits_into_80_columns(site: Site) -> None:
    text = site.shell.registry.read_text().replace("  tiny:", f"  {LONG}:")
    site.shell.registry.write_text(text)
    site.publish()
    lines = site.outdated().out.splitlines()
    assert max(len(line) for line in lines[:2]) == 80
    assert LONG not in lines[1]
    assert LONG in "".join(line.split("  ")[0] for line in lines[1:4])


def test_an_update_and_what_follows(site: Site) -> None:
    site.publish()
    said = site.shell("update", "tiny", "--as", "v2")
    assert said.code == 0
    assert "pinned tiny@v2" in said.out
    assert "config.json: a: absent -> 1" in said.out
    assert "next: toolkit upgrade tiny --to v2" in said.out
    said = site.outdated()
    assert "v2 has it pinned, a candidate" in said.out
    assert "hint: toolkit upgrade tiny --to v2" in said.err
    assert "v1, v2 (candidate)" in site.shell("registry", "list").out
    assert site.shell("registry", "accept", "tiny@v2").code == 0
    assert site.outdated().code == 0
    again = site.shell("update", "tiny")
    assert "tiny@v2 is what its source holds now" in again.out


def test_a_repository_with_another_name_ends_with_9_until_the_registry_says_it(site: Site) -> None:
    site.hub.rename("acme/tiny", "acme/tiny-2")
    said = site.outdated()
    assert said.code == 9
    assert "`repo: acme/tiny-2`" in said.err
    assert "hint: where acme/tiny-2 is meant" in said.err
    assert "note: acme/tiny is acme/tiny-2 on the Hub" in site.shell("update", "tiny").err
    text = site.shell.registry.read_text()
    site.shell.registry.write_text(text.replace("acme/tiny", "acme/tiny-2"))
    assert site.shell("registry", "pin", "tiny", "--lock-only").code == 0
    assert site.outdated().code == 0


@pytest.mark.parametrize("words", [("update", "tiny"), ("registry", "pin", "tiny")])
def test_a_person_takes_over_that_a_repository_is_gated_now(
    site: Site, words: tuple[str, ...]
) -> None:
    assert site.outdated().code == 0
    for gated in (True, False):
        site.hub.publish("acme/tiny", FILES, licence="mit", gated=gated)
        said = site.outdated()
        assert said.code == 9
        assert said.err.rstrip().endswith("toolkit update tiny")
        assert site.shell(*words, "--dry-run").code == 0
        assert site.outdated().code == 9
        assert f"acme/tiny is gated {'now' if gated else 'no more'}" in site.shell(*words).err
        assert site.outdated().code == 0


def test_an_update_to_a_newer_commit_takes_over_that_the_repository_is_gated_now(
    site: Site,
) -> None:
    assert site.outdated().code == 0
    site.publish(gated=True)
    assert "gated now" in site.outdated().out
    assert "acme/tiny is gated now" in site.shell("update", "tiny", "--as", "v2").err
    assert "gated now" not in site.outdated().out
    assert "gated now" not in site.shell("update", "tiny").err


def test_an_unknown_model_is_named(site: Site) -> None:
    said = site.outdated("tinny")
    assert said.code == 2
    assert "did you mean tiny?" in said.err
