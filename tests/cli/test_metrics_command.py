"""`toolkit metrics setup`: what it refuses before it writes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import Shell
from toolkit.config.yaml_text import parse_yaml


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


@pytest.mark.parametrize(
    "name", ["st*r", "q?", "br[1]", "back\\slash", 'qu"ote', "new\nline", "esc\x1b[m"]
)
def test_a_directory_whose_name_prometheus_takes_for_a_pattern_is_refused(
    shell: Shell, name: str
) -> None:
    said = shell("metrics", "setup", f"{name}/prometheus", "--json")
    assert said.code == 2
    error = said.json()["error"]
    assert error["message"].endswith('does not find files below a path with one of * ? [ ] \\ "')
    assert not (shell.place / name).exists()
    assert not (shell.place / "home" / "metrics.json").exists()


def test_other_names_of_directories_are_found(shell: Shell) -> None:
    for name in ("with space", "a: b #c", "ünï", "it's", "{x}", "do$lar"):
        assert shell("metrics", "setup", name).code == 0
        config = parse_yaml(Path("p"), (shell.place / name / "prometheus.yml").read_text()).data
        assert config["rule_files"] == [f"{shell.place / name}/rules/toolkit-*.yml"]
        grafana = (shell.place / name / "grafana-dashboards.yml").read_text()
        (provider,) = parse_yaml(Path("p"), grafana).data["providers"]
        # Grafana takes $NAME for a variable, and $$ for a dollar.
        assert provider["options"]["path"] == f"{shell.place / name}/dashboards".replace("$", "$$")


def test_what_it_keeps_in_the_home_is_closed_to_other_users(shell: Shell) -> None:
    assert shell("metrics", "setup", "prometheus").code == 0
    assert (shell.place / "home" / "metrics.json").stat().st_mode & 0o777 == 0o600
    assert (shell.place / "prometheus" / "prometheus.yml").stat().st_mode & 0o777 == 0o644
    assert shell("metrics", "show").err == ""
