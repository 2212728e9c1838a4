"""Test hosts are whole, apart from each other, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.machine import boot
from tests.fleet.network import ip, network
from tests.system.waiting import until

pytestmark = pytest.mark.system


def test_hosts_have_their_own_systemd_name_and_address_and_no_way_out() -> None:
    # A lab that other tests of this process share has a bridge of its own.
    shared = _bridges_of_this_process()
    with network() as net, boot("alpha", net, 11) as alpha, boot("beta", net, 12) as beta:
        for host in (alpha, beta):
            assert host.run("systemctl", "is-system-running").strip() == "running"
            assert host.run("hostname").strip() == host.name
            assert host.run("ip", "route", "show", "default") == ""
        reach = [*("ssh", *alpha.ssh_options), alpha.address, "exec 3<>/dev/tcp/beta/22"]
        alpha.run("sh", "-c", f"echo {beta.address} beta >> /etc/hosts")
        assert subprocess.run(reach, timeout=20).returncode == 0
        alpha.run("mkdir", "/sys/fs/cgroup/only-alpha")
        assert "only-alpha" not in beta.run("ls", "/sys/fs/cgroup")
        pids = [alpha.pid, beta.pid]
    assert _alive(pids) == []
    # By index, since another run of tests may have a bridge of this name by now.
    assert _bridges_of_this_process() == shared


def test_a_host_ends_with_the_killed_process_that_booted_it() -> None:
    booter = subprocess.Popen(
        [sys.executable, "-c", _BOOT], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert booter.stdout is not None
    pid = int(booter.stdout.readline())
    booter.send_signal(signal.SIGKILL)
    booter.wait()
    booter.stdout.close()
    until(lambda: not _alive([pid]), 60)
    # The next one to boot clears away what has a name outside the host.
    with network() as net, boot("gamma", net, 13):
        # Another run of tests may be about it as well.
        until(lambda: not [*Path("/var/tmp").glob(f"toolkit-host-{booter.pid}-*")], 60)
        until(lambda: f"pid {booter.pid}\n" not in ip("link", "show"), 60)


_BOOT = """
import time
from tests.fleet.machine import boot
from tests.fleet.network import network
with network() as net, boot("alpha", net, 11) as alpha:
    print(alpha.pid, flush=True)
    time.sleep(60)
"""


def _bridges_of_this_process() -> set[int]:
    owner = f"toolkit tests, pid {os.getpid()}"
    links = json.loads(ip("-json", "link", "show", "type", "bridge"))
    return {link["ifindex"] for link in links if link.get("ifalias") == owner}


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path("/proc", str(pid)).exists()]
