"""Commands that find nothing to do leave no line in the audit log, whether or not they ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.shell import Shell
from tests.cli.test_outdated import Site

SCHEDULE = """\
time_zone: UTC
windows:
  night: {days: [mon], from: 02:00, for: 3h}
models:
  tiny: {policy: pin-only}
"""


@pytest.fixture
def site(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(shell, monkeypatch)
    (shell.place / "schedule.yaml").write_text(SCHEDULE)
    return made


def recorded(site: Site) -> list[dict[str, Any]]:
    log = site.shell.place / "home" / "audit" / "log.jsonl"
    return [json.loads(line)["record"] for line in log.read_text().splitlines()]


CHANGES = (
    ("update", "tiny", "--as", "v2"),
    ("registry", "accept", "tiny@v2"),
    ("registry", "pin", "tiny"),
    ("registry", "pin", "tiny", "--lock-only"),
    ("schedule", "install", "--to", "units"),
    ("schedule", "remove", "--to", "units"),
)


def test_a_command_that_changes_nothing_is_not_recorded(site: Site) -> None:
    revision = site.publish()
    before = len(recorded(site))
    for words in CHANGES:
        assert site.shell(*words).code == 0
        added = recorded(site)[before:]
        changed = words[:2] != ("registry", "pin")
        assert [each["event"] for each in added] == ["begin", "end"] * changed, words
        assert [each["command"] for each in added] == [
            words[0] if words[0] == "update" else " ".join(words[:2])
        ] * 2 * changed
        before += len(added)
        assert site.shell(*words[: 2 if words[0] == "update" else None]).code == 0
        assert recorded(site)[before:] == [], words
    assert revision in site.shell.registry.read_text()


def test_a_change_is_recorded_before_it_and_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.publish()
    lock = site.shell.registry.with_suffix(".lock.json")
    texts = lock.read_text(), site.shell.registry.read_text()
    log = site.shell.place / "home" / "audit"
    log.chmod(0o700)
    log.rename(log.with_name("away"))
    log.write_text("a file where the log's directory belongs")
    said = site.shell("update", "tiny", "--as", "v2")
    assert said.code == 3
    assert "the audit log cannot be written, so nothing was changed" in said.err
    assert (lock.read_text(), site.shell.registry.read_text()) == texts
    log.unlink()
    log.with_name("away").rename(log)
    before = len(recorded(site))
    # The lock and the registry are written, and the candidate's repository is gated now.
    site.publish(gated=True)
    assert site.shell("update", "tiny", "--as", "v2").code == 0
    assert [each["event"] for each in recorded(site)[before:]] == ["begin", "end"]


def test_a_person_who_takes_over_that_a_repository_is_gated_is_recorded(site: Site) -> None:
    assert site.outdated().code == 0
    before = len(recorded(site))
    site.hub.publish(
        "acme/tiny",
        {"config.json": b"{}", "model.safetensors": b"weights" * 100},
        licence="mit",
        gated=True,
    )
    assert site.outdated().code == 9
    assert "gated now" in site.shell("update", "tiny").err
    assert [each["event"] for each in recorded(site)[before:]] == ["begin", "end"]


def test_the_log_knows_the_model_of_every_change_of_the_registry(site: Site) -> None:
    site.publish()
    assert site.shell("update", "tiny", "--as", "v2").code == 0
    assert site.shell("registry", "accept", "tiny@v2").code == 0
    found = site.shell("audit", "list", "--model", "tiny", "--json").json()["entries"]
    assert [each["command"] for each in found] == ["registry pin", "update", "registry accept"]
