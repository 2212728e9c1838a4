"""The module that installs system packages: no service of theirs starts, also after a run that was cut off."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.adapters.own_modules import own_module

EXPORTER = {"name": "exporter", "path": None, "unit": "exporter.service"}
PROXY = {"name": "proxy", "path": None, "unit": None}
ADMINISTRATOR = "#!/bin/sh\nexit 101\n"


class Ended(BaseException):
    """The process is killed: nothing but the kernel cleans up."""


class Host:
    """A host whose packages `apt-get` installs; `said` are its commands, `killed_at` the word of the last one."""

    def __init__(self, code: Any, place: Path, patch: pytest.MonkeyPatch) -> None:
        self.code, self.policy, self.patch = code, place / "policy-rc.d", patch
        self.there: set[str] = set()
        self.said: list[str] = []
        self.killed_at = ""
        self.policies: list[str] = []

    def run_command(self, words: list[str], **_: Any) -> tuple[int, str, str]:
        line = " ".join(words)
        if words[0] == "dpkg-query":
            return (0, "installed 1", "") if words[-1] in self.there else (1, "", "")
        self.said.append(line)
        self.policies.append(self.policy.read_text() if self.policy.exists() else "")
        if "install" in words:
            self.there |= set(words) & {"exporter", "proxy"}
        if self.killed_at and self.killed_at in line:
            raise Ended
        return 0, "", ""

    def converge(self, *packages: dict[str, Any]) -> dict[str, Any]:
        """Run the module; return what it says. A kill leaves all files as they are."""
        found: dict[str, Any] = {}
        module = SimpleNamespace(
            params={"packages": list(packages), "directory": None},
            check_mode=False,
            run_command=self.run_command,
            exit_json=found.update,
        )
        self.patch.setattr(self.code, "AnsibleModule", lambda **_: module)
        with self.patch.context() as context:
            if self.killed_at:
                context.setattr(self.code.os, "unlink", lambda path: None)
            self.code.main()
        return found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    library = own_module("system_packages")
    monkeypatch.setattr(library, "POLICY", str(tmp_path / "policy-rc.d"))
    monkeypatch.setattr(library, "SYSTEMD", str(tmp_path))
    return Host(library, tmp_path, monkeypatch)


def test_missing_packages_are_installed_while_no_service_may_start(host: Host) -> None:
    found = host.converge(EXPORTER, PROXY)
    assert found == {"changed": True, "installed": ["exporter", "proxy"]}
    install, switched_off = host.said[-2:]
    assert install.endswith("exporter proxy")
    assert switched_off == "systemctl disable --now --quiet exporter.service"
    assert all(each.endswith("exit 101\n") for each in host.policies[-2:])
    assert not host.policy.exists()
    host.said.clear()
    assert host.converge(EXPORTER, PROXY) == {"changed": False, "installed": []}
    assert host.said == []


def test_a_header_is_looked_for_among_those_of_the_hosts_python(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No package of the system brings the headers of a Python below /opt: an installation would never end well."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme: str(tmp_path / name))
    (tmp_path / "include").mkdir()
    header = {"name": "python3-dev", "path": "Own.h", "unit": None}
    assert host.code.missing(None, [header]) == [header]
    (tmp_path / "include/Own.h").touch()
    assert host.converge(header) == {"changed": False, "installed": []}
    assert host.said == []


def test_a_service_that_was_there_before_goes_on(host: Host) -> None:
    host.there = {"exporter"}
    assert host.converge(EXPORTER, PROXY)["installed"] == ["proxy"]
    assert not any("systemctl" in each for each in host.said)


@pytest.mark.parametrize("moment", ["install", "systemctl"])
def test_the_next_run_completes_one_that_was_killed(host: Host, moment: str) -> None:
    host.killed_at = moment
    with pytest.raises(Ended):
        host.converge(EXPORTER)
    assert host.policy.exists()
    host.killed_at = ""
    host.said.clear()
    assert host.converge(EXPORTER, PROXY) == {"changed": True, "installed": ["exporter", "proxy"]}
    assert host.said[-1] == "systemctl disable --now --quiet exporter.service"
    assert not host.policy.exists()


def test_a_policy_of_packages_that_nobody_wants_any_more_goes(host: Host) -> None:
    host.killed_at = "install"
    with pytest.raises(Ended):
        host.converge(EXPORTER)
    host.killed_at = ""
    host.there.add("proxy")
    assert host.converge(PROXY) == {"changed": True, "installed": []}
    assert not host.policy.exists()


def test_an_administrators_policy_stays(host: Host) -> None:
    host.policy.write_text(ADMINISTRATOR)
    assert host.converge(EXPORTER)["installed"] == ["exporter"]
    assert host.policy.read_text() == ADMINISTRATOR
    assert [each.name for each in host.policy.parent.iterdir()] == ["policy-rc.d"]
