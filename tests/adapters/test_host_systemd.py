"""What a host with systemd holds beyond the contract: the perimeter of a replica, check mode, a crash, a boot."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from dataclasses import replace

import pytest

from tests.adapters.host_lab import ENGINE, HostLab, bare_lab
from tests.system.waiting import until
from toolkit.adapters.ansible.converge import RealConverge
from toolkit.adapters.ansible.playbooks import playbook_directory
from toolkit.adapters.hosts.client import host_client, silent
from toolkit.adapters.hosts.host import RealHost
from toolkit.errors import HostError
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

pytestmark = pytest.mark.system


@pytest.fixture
def lab(systemd_host: HostLab, request: pytest.FixtureRequest) -> HostLab:
    systemd_host.empty(but_ready="program" in request.fixturenames)
    return systemd_host


def test_a_replica_reaches_nothing_but_its_own_loopback(lab: HostLab, program: str) -> None:
    own = lab.host.host.address
    gateway = own.rpartition(".")[0] + ".1"
    lab.run("ip", "addr", "add", "fd00:77::11/64", "dev", "eth0", "nodad")
    # A resolver of the host's own would carry a prompt out in names that it looks up.
    resolver = "exec 3<>/dev/udp/127.0.0.53/53 && echo asked >&3"
    try:
        with socket.create_server((gateway, 0)) as outside:
            port = outside.getsockname()[1]
            # What is closed to the replica is open to others on the same host. A busy machine may lose a first packet.
            reach = f"exec 3<>/dev/tcp/{gateway}/{port} && {resolver} && exec 3<>/dev/tcp/fd00:77::11/22"
            lab.run(
                "bash", "-c", f"for i in {{1..20}}; do ({reach}) && exit; sleep 1; done; exit 1"
            )
            said = _ask(lab, {
                f"connect {gateway} {port}": "refused",
                f"connect {own} 22": "refused",
                "connect fd00:77::11 22": "refused",
                f"send {gateway} 53": "refused",
                "send fd00:77::1 53": "refused",
                "send 127.0.0.53 53": "refused",
                "open /run/dbus/system_bus_socket": "refused",
                "connect 127.0.0.1 8080": "refused",
                "connect 127.0.0.1 22": "connected",
                "connect ::1 22": "connected",
            })  # fmt: skip
    finally:
        lab.run("ip", "addr", "del", "fd00:77::11/64", "dev", "eth0")
    assert said == {}


def test_a_replica_sees_its_own_files_and_writes_to_its_cache_alone(
    lab: HostLab, program: str
) -> None:
    root = lab.host.host.root
    lab.run("sh", "-c", "umask 022; chmod 755 /home/ops; echo secret >/home/ops/open-to-all")
    assert _ask(lab, {
        f"open {root}/control/master.sock": "refused",
        f"open {root}/sockets": "refused",
        f"open {root}/router": "refused",
        f"open {root}/logs": "refused",
        f"open {root}/slots": f"listed {program}",
        "open /home": "listed",
        "read /home/ops/open-to-all": "refused",
        "read /proc/1/environ": "refused",
        f"read {root}/slots/{program}/run": "read",
        f"read {root}/slots/{program}/manifest.json": "refused",
        f"write {root}/caches/{program}": "written",
        f"write {root}/caches": "refused",
        f"write {root}/compiling/here": "written",
        f"write {root}/compiling": "refused",
        f"write {root}/compiled": "refused",
        "write /dev/shm": "written",
        "write /tmp": "written",
        f"write {root}/slots/{program}": "refused",
        f"write {root}/snapshots": "refused",
        f"write {root}/logs": "refused",
        "write /etc": "refused",
    }) == {}  # fmt: skip
    # What it writes to the two of all hosts' common places is in its own.
    assert lab.run("find", "/dev/shm", "-user", lab.host.host.slot_user(program)) == ""


@pytest.mark.parametrize("unit", ["tiny-blue", "router"])
def test_the_units_are_as_closed_as_they_can_be(lab: HostLab, program: str, unit: str) -> None:
    shown = lab.run("systemd-analyze", "security", "--no-pager", f"toolkit-{unit}.service")
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
    assert score is not None
    assert float(score.group(1)) <= 1.5, shown


def _ask(lab: HostLab, expected: dict[str, str]) -> dict[str, str]:
    """Have the replica try each; return those that went otherwise than expected."""
    said = {each: lab.ask("blue", each) for each in expected}
    return {
        each: said[each] for each, word in expected.items() if said[each].partition(":")[0] != word
    }


def test_check_mode_says_what_would_change_and_changes_nothing(lab: HostLab, program: str) -> None:
    checked = _checking(lab)
    before = _everything(lab)
    assert checked.play("provision", {"provision_digest": "other"}) == (
        "Record the settings and the digest of this provisioning",
    )
    checked.start("blue")
    checked.start("green")
    assert checked.stop("blue") == ("Stop the replica and remove its unit",)
    assert _everything(lab) == before


def test_check_mode_passes_on_a_host_that_the_toolkit_never_saw(systemd_host: HostLab) -> None:
    with bare_lab(number=12) as bare:
        checked = _checking(bare)
        checked.host.observe()  # puts the host's side there
        before = _everything(bare)
        would = checked.play("provision", {"provision_digest": "d"})
        assert "Create the accounts and the directories" in would
        assert "Create the environment" in checked.play("engine", _engine())
        checked.start("blue")
        assert checked.stop("blue") == ()
        assert _everything(bare) == before


def test_a_log_is_that_of_one_start_and_the_former_one_is_kept(lab: HostLab, program: str) -> None:
    first = list(lab.host.logs(program, 50, follow=False))
    lab.run("systemctl", "restart", f"toolkit-{program}.service")
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    assert list(lab.host.logs(program, 50, follow=False)) == first
    assert list(lab.host.logs(program, 50, follow=False, previous=True)) == first
    assert first[0].startswith("starting on port")


def test_the_root_may_lie_in_a_private_home(lab: HostLab) -> None:
    # Replicas see no homes, and the service user may not even enter this one.
    copy = 'for i in 1 2 3 4 5; do rm -rf "$2"; cp -a "$1" "$2" && exit; done; exit 1'
    # A file that the watch is writing has another name by the time that it is copied.
    lab.run("sh", "-c", copy, "sh", lab.host.host.root, "/home/ops/models")
    host = replace(lab.host.host, root="/home/ops/models")
    moved = HostLab(RealHost(host_client(host, lab.scratch)), lab.converge, lab.scratch, lab.run)
    moved.ready()
    assert moved.ask("blue") == "hello from good"
    moved.stop("blue")


def test_a_killed_router_comes_back_with_its_routes(lab: HostLab, program: str) -> None:
    target = Target("blue", lab.ports["blue"], 100)
    lab.route(with_model(Routes(), "tiny", (target,), created=1))
    main = _main_of_router(lab)
    lab.run("kill", "-KILL", main)
    until(lambda: _main_of_router(lab), 60, lambda now: now not in ("0", main))
    _wait_for_router(lab)
    (slot,) = lab.host.observe().slots
    assert slot.weight == 100


def test_a_frozen_watch_is_started_again(lab: HostLab, program: str) -> None:
    def main() -> str:
        return lab.run("systemctl", "show", "--property=MainPID", "--value", watch).strip()

    watch, limit = "toolkit-watch.service", "/run/systemd/system/toolkit-watch.service.d/soon.conf"
    lab.run(
        "sh",
        "-c",
        f"mkdir -p {limit.rpartition('/')[0]}; echo '[Service]\nWatchdogSec=12' >{limit}",
    )
    lab.run("systemctl", "daemon-reload")
    try:
        lab.run("systemctl", "restart", watch)
        first = main()
        # It says that it looks for longer than the limit.
        time.sleep(15)
        assert main() == first
        lab.run("kill", "-STOP", first)
        until(main, 60, lambda now: now not in ("0", first))
    finally:
        lab.run("rm", "-r", limit.rpartition("/")[0])
        lab.run("systemctl", "daemon-reload")
        lab.run("systemctl", "restart", watch)


def test_replica_and_router_come_back_with_the_host(lab: HostLab, program: str) -> None:
    lab.run("systemctl", "stop", "toolkit-router.service", f"toolkit-{program}.service")
    facts = lab.host.observe()
    assert (facts.router.running, facts.slots[0].healthy) == (False, False)
    # What a boot starts.
    lab.run("systemctl", "start", "multi-user.target")
    lab.run("systemctl", "isolate", "multi-user.target")
    _wait_for_router(lab)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok


def test_a_host_that_does_not_let_us_in_is_named_with_the_way_to_see_it(lab: HostLab) -> None:
    stranger = tuple(each.replace("User=ops", "User=nobody") for each in lab.host.host.ssh_options)
    host = replace(lab.host.host, ssh_options=stranger)
    with pytest.raises(HostError, match=r"alpha: .*Permission denied") as refused:
        RealHost(host_client(host, lab.scratch)).observe()
    assert refused.value.hint.startswith("ssh-copy-id ")


def _checking(lab: HostLab) -> HostLab:
    converge = RealConverge(playbook_directory(), lab.scratch, check=True)
    return HostLab(lab.host, converge, lab.scratch, lab.run)


def _everything(lab: HostLab) -> tuple[str, str]:
    """Return every file that a playbook could touch, with owner and times, and every unit's state.

    The watch of the host goes on writing its own, and so does what counts the use of replicas.
    """
    root = lab.host.host.root
    files = lab.run(
        "find", "/etc", root, "-ignore_readdir_race", "-path", f"{root}/bin/hostside-*", "-prune",
        "-o", "-path", f"{root}/watch", "-prune",
        "-o", "-path", f"{root}/use", "-prune", "-o", "-path", f"{root}/caches/*/use", "-prune",
        # what the host tells Prometheus of itself, and other hosts of its keys' use
        "-o", "-path", f"{root}/router/host.prom", "-o", "-path", f"{root}/router/use.json",
        # the same while it is being written
        "-o", "-path", f"{root}/router/.host.prom.*", "-o", "-path", f"{root}/router/.use.json.*",
        "-o", "-path", f"{root}/router", "-printf", "%p %m %u %g\n",
        "-o", "-path", f"{root}/*/*.sock", "-prune", "-o", "-printf", "%p %m %u %g %s %T@\n",
    )  # fmt: skip
    units = lab.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "toolkit-*")
    return files, units


def _engine() -> dict[str, str]:
    return {
        "engine_id": ENGINE,
        "engine_version": "0.0.0",
        "engine_system_packages": [],
        "engine_proof": ["vllm", "--version"],
        "engine_python": "3.11",
        "engine_wheelhouse": "/nowhere",
        "engine_uv": shutil.which("uv") or os.devnull,
    }


def _main_of_router(lab: HostLab) -> str:
    return lab.run("systemctl", "show", "--property=MainPID", "--value", "toolkit-router").strip()


def _wait_for_router(lab: HostLab) -> None:
    until(lambda: lab.host.observe().router, 60, lambda router: router.running)
