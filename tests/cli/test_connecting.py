"""Changes and a status connect to their hosts before they load what they need later; a rollback loads nothing that
others need.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import Prompt

# Plans and carries out a change; hosts are being connected while it is loaded.
LATER = (
    "toolkit.adapters.history.history",
    "toolkit.planning.change.deploy",
    "toolkit.workflows.change.rollout",
    "toolkit.workflows.trail.trail",
)
# Takes as long to load as a host to switch, and a switch to a standby needs none of it.
NEVER = (
    "toolkit.adapters.distribution.port",
    "toolkit.adapters.history.tallies",
    "toolkit.adapters.history.use",
    "toolkit.domain.trail.channel",
    "toolkit.domain.costs.energy",
    "toolkit.domain.clients.evidence",
    "toolkit.domain.engines.fit",
    "toolkit.domain.clients.keys",
    "toolkit.domain.hosts.load",
    "toolkit.domain.hosts.perimeter",
    "toolkit.domain.clients.use",
    "toolkit.planning.engines.port",
    "toolkit.planning.engines.vllm",
    "toolkit.workflows.change.shared_supplies",
    "toolkit.workflows.change.starting",
    "toolkit.workflows.use.collect",
)
CONNECTS = f"""
import sys
from toolkit.cli.changing import change
from toolkit.cli import main

def connect(hosts, home):
    print(*[host.name for host in hosts], *[each for each in {LATER + NEVER} if each in sys.modules])
    sys.exit()

change.connect = connect
main.cli.main(sys.argv[1:], prog_name="toolkit", standalone_mode=False)
"""
# What `toolkit status` needs once its hosts answer.
STATUS_LATER = (
    "toolkit.adapters.history.history",
    "toolkit.cli.views.status",
    "toolkit.domain.hosts.facts",
    "toolkit.workflows.fleet.status",
)
STATUS = f"""
import sys
from toolkit.cli.commands import status
from toolkit.cli import main

def connect(hosts, home):
    print(*[host.name for host in hosts], *[each for each in {STATUS_LATER} if each in sys.modules])
    sys.exit()

status.connect = connect
main.cli.main(["status"], prog_name="toolkit", standalone_mode=False)
"""
LOADS = f"""
import sys
import toolkit.cli.commands.rollback, toolkit.workflows.change.rollout, toolkit.workflows.trail.trail
import toolkit.adapters.hosts.host, toolkit.adapters.history.history
print(*[each for each in {NEVER} if each in sys.modules])
"""


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        (CONNECTS, "rollback tiny --yes", "gpu1 gpu2"),
        (CONNECTS, "deploy tiny@v1 --yes", "gpu1 gpu2"),
        (CONNECTS, "upgrade tiny --yes", "gpu1 gpu2"),
        (STATUS, "", "gpu1 gpu2"),
        (LOADS, "", ""),
    ],
)
def test_a_command_loads_late_what_it_needs_late(
    tmp_path: Path, program: str, words: str, said: str
) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(
        "all:\n  hosts:\n    gpu1: {ansible_host: 10.0.0.1}\n    gpu2: {ansible_host: 10.0.0.2}\n"
    )
    places = {"TOOLKIT_HOME": str(tmp_path / "home"), "TOOLKIT_FLEET": str(fleet)}
    done = subprocess.run(
        [sys.executable, "-c", program, *words.split()],
        env={**os.environ, **places},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == said


def test_a_change_names_a_host_that_the_fleet_has_not_before_all_else(prompt: Prompt) -> None:
    for words in (("rollback", "tiny"), ("deploy", "tiny@v1")):
        said = prompt(*words, "--host", "nowhere", "--yes")
        assert said.code == 2 and "nowhere" in said.err
