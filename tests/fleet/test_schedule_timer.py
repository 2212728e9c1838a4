"""The schedule's timer under a real systemd, as `docs/scheduling.md` has it typed on an ops machine."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.small_model import CONFIG, write_model
from tests.fleet.machine import Machine, boot, require_hosts
from tests.fleet.network import network

pytestmark = pytest.mark.system

REPO = Path(__file__).parents[2]
SITE = Path(sysconfig.get_path("purelib")).resolve()
PLACE = "/srv/models"
REGISTRY = """\
policy:
  licences: {allowed: [mit]}
models:
  tiny:
    licence: mit
    openness: fully-open
    source: {path: ./model}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 64MiB}
    versions:
"""
SCHEDULE = """\
time_zone: UTC
windows:
  always: {{days: [mon, tue, wed, thu, fri, sat, sun], from: {opened:%H:%M}, for: 24h}}
models:
  tiny: {{policy: auto}}
"""
HUB = "/srv/hub$1"
UNITS = "/etc/systemd/system"


class Ops:
    """An ops machine with the toolkit, a model's directory and a schedule."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def type(self, line: str) -> str:
        command = line.replace("toolkit", f"{sys.base_prefix}/bin/python3 -m toolkit.cli.main", 1)
        return self.sh(f"cd {PLACE} && PYTHONPATH=/opt/repo:/opt/site {command} 2>&1; echo exit $?")

    def sh(self, line: str) -> str:
        return self.machine.run("sh", "-c", line, check=False)

    def write(self, path: str, text: str) -> None:
        self.machine.run("python3", "-c", f"import pathlib; p = pathlib.Path({path!r}); "
                         f"p.parent.mkdir(parents=True, exist_ok=True); p.write_text({text!r})")  # fmt: skip

    def property(self, unit: str, name: str) -> str:
        return self.machine.run("systemctl", "show", unit, "--value", f"--property={name}").strip()


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ops]:
    require_hosts()
    model = tmp_path_factory.mktemp("ops") / "model"
    write_model(model)
    shares = {"/opt/repo": REPO, "/opt/site": SITE, "/opt/model": model}
    if sys.base_prefix != "/usr":
        # This machine's Python finds its library at the same place there. Debian's own is there already.
        shares[sys.base_prefix] = Path(sys.base_prefix)
    with network() as net, boot("ops", net, 21, shares=shares) as machine:
        made = Ops(machine)
        made.sh(f"mkdir -p {PLACE} && cp -r /opt/model {PLACE}/model")
        made.write(f"{PLACE}/model_registry.yaml", REGISTRY)
        # The timer fired a minute ago at most, and does so again in nine minutes at least.
        opened = datetime.now(UTC)
        made.write(f"{PLACE}/schedule.yaml", SCHEDULE.format(opened=opened))
        # The toolkit of this test is not installed; variables of one's own go into a drop-in.
        drop_in = "[Service]\nEnvironment=PYTHONPATH=/opt/repo:/opt/site\n"
        made.write(f"{UNITS}/toolkit-schedule.service.d/own.conf", drop_in)
        yield made


def test_the_timer_is_installed_runs_once_in_its_window_and_goes_without_a_trace(ops: Ops) -> None:
    assert "pinned tiny@v1" in ops.type("toolkit registry pin tiny --as v1")
    said = ops.type(f"HF_HOME='{HUB}' toolkit schedule install")
    assert f"installed in {UNITS}" in said, said
    # systemctl shows values as a shell reads them.
    shown = ops.property("toolkit-schedule.service", "Environment").replace("\\$", "$")
    assert f"HF_HOME={HUB}" in shown
    assert ops.property("toolkit-schedule.timer", "ActiveState") == "active"
    assert ops.property("toolkit-schedule.timer", "UnitFileState") == "enabled"
    assert ops.property("toolkit-schedule.timer", "NextElapseUSecRealtime")
    assert "is installed already" in ops.type(f"HF_HOME='{HUB}' toolkit schedule install")
    assert "its timer is not installed" not in ops.type("toolkit schedule list")

    ops.write(f"{PLACE}/model/config.json", json.dumps({**CONFIG, "max_position_embeddings": 2048}))
    ops.sh("systemctl start toolkit-schedule.service")
    # The journal may get the last words of a service after its end.
    ops.sh("journalctl --sync")
    journal = ops.sh("journalctl --no-pager --output=cat --unit=toolkit-schedule.service")
    assert ops.property("toolkit-schedule.service", "ExecMainStatus") == "10", journal
    assert "tiny serves on no host, so there is nothing to upgrade" in journal
    assert "candidate: true" in ops.sh(f"cat {PLACE}/model_registry.yaml")
    ops.sh("systemctl start toolkit-schedule.service")
    assert ops.property("toolkit-schedule.service", "ExecMainStatus") == "0"
    assert len(json.loads(ops.sh("cat /root/.toolkit/schedule.json"))["runs"]) == 1

    assert f"removed from {UNITS}" in ops.type("toolkit schedule remove")
    assert ops.property("toolkit-schedule.timer", "LoadState") == "not-found"
    assert (
        ops.sh(f"find {UNITS} -name 'toolkit-schedule.*' -type f -o -name 'toolkit-schedule.timer'")
        == ""
    )


def test_a_systemd_that_refuses_leaves_nothing(ops: Ops) -> None:
    # Enabling needs this directory, and it is a file.
    ops.sh(f"mv {UNITS}/timers.target.wants /tmp/wants; touch {UNITS}/timers.target.wants")
    said = ops.type("toolkit schedule install")
    assert "nothing is installed" in said, said
    assert ops.sh(f"find {UNITS} -name 'toolkit-schedule.*' -type f") == ""
    assert ops.property("toolkit-schedule.timer", "LoadState") == "not-found"
