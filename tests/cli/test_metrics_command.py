"""`toolkit metrics setup`: what it refuses before it writes anything."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--alertmanager", "nonsense"), "'nonsense' is no HOST:PORT, such as 10.0.0.9:9093."),
        (("--alertmanager", "http://a:1"), "'http://a:1' is no HOST:PORT, such as 10.0.0.9:9093."),
        (("--alertmanager", "a:0"), "'a:0' is no HOST:PORT, such as 10.0.0.9:9093."),
        (("--alertmanager", "a:65536"), "'a:65536' is no HOST:PORT, such as 10.0.0.9:9093."),
        (("--alertmanager", "::1:9"), "'::1:9' is no HOST:PORT, such as 10.0.0.9:9093."),
        (("--ops-exporter", ""), "'' is no HOST:PORT, such as 10.0.0.9:9093."),
        (("--schedule", "absent.yaml"), "there is no schedule 'absent.yaml'"),
        (("--availability", "1"), "--availability is between 0 and 1"),
        (("--first-token", "0"), "--first-token is more than 0 s"),
    ],
)
def test_what_prometheus_could_not_read_is_refused(
    shell: Shell, words: tuple[str, ...], message: str
) -> None:
    said = shell("metrics", "setup", "prometheus", *words, "--json")
    assert said.code == 2
    error = said.json()["error"]
    assert error["message"].endswith(message)
    assert error["hint"]
    assert not (shell.place / "prometheus").exists()


def test_a_directory_without_a_name_is_not_this_one(shell: Shell) -> None:
    said = shell("metrics", "setup", "")
    assert (said.code, "'DIRECTORY': it is empty" in said.err) == (2, True)
    assert not (shell.place / "prometheus.yml").exists()


def test_addresses_of_both_kinds_are_written(shell: Shell) -> None:
    words = ("--alertmanager", "[fd00::9]:9093", "--alertmanager", "ops-1.example:9093")
    assert shell("metrics", "setup", "prometheus", *words).code == 0
    text = (shell.place / "prometheus" / "prometheus.yml").read_text()
    assert "[fd00::9]:9093" in text and "ops-1.example:9093" in text
