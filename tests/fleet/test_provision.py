"""From bare hosts to hosts that can serve, and what becomes of a fleet in which half of the hosts cannot."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.lab import FleetLab, fleet_lab
from tests.fleet.machine import Machine, require_hosts
from tests.fleet.packages import repack, stand_in

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

DAY = 86400.0
ROOT = "/var/lib/toolkit"
UNITS = ("prometheus-node-exporter.service", "nvidia-dcgm-exporter.service")
# NVIDIA's exporter needs a device: this stands for it, with the same packages, paths and options.
DCGM = """\
#!/usr/bin/python3
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"DCGM_FI_DEV_XID_ERRORS 0\\n")
assert sys.argv[1] == "--address" and sys.argv[3:] == ["-f", "/etc/dcgm-exporter/default-counters.csv"]
address, _, port = sys.argv[2].rpartition(":")
http.server.HTTPServer((address, int(port)), Answer).serve_forever()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetLab]:
    require_hosts()
    packages = tmp_path_factory.mktemp("packages")
    _pack(packages)
    variables = {
        "toolkit_firewall": "true",
        "router_bind": "0.0.0.0:8080",
        "toolkit_packages": str(packages),
        "toolkit_exporters": "[node, dcgm]",
        "toolkit_dcgm_exporter": "9500",
    }
    names = ("good", "nosudo", "nokey", "nopython", "late", "full", "dark")
    with fleet_lab(names, variables=variables) as lab:
        yield lab


def test_bare_hosts_become_ready_and_those_that_cannot_are_named_each_with_its_reason(
    lab: FleetLab,
) -> None:
    good = lab["good"]
    before = _everything(good)
    checked = _json(lab, "provision", "--check", "good")["hosts"]["good"]
    assert checked["result"] == "would change"
    assert {
        "Write the rules",
        "Write the base, and start without routes",
        "Write the units of the exporters",
    } <= set(checked["changed"])
    assert _everything(good) == before

    _spoil(lab)
    done = lab.toolkit("provision", "--yes", "--json", check=False)
    assert done.returncode == 7, done.stderr
    results = json.loads(done.stdout)["hosts"]
    assert results["good"]["result"] == "converged", results["good"]
    assert set(checked["changed"]) <= set(results["good"]["changed"])
    words = {
        "nosudo": "the login may not become root without a password",
        "nokey": "it refuses our key",
        "nopython": "it has no Python",
        # The look at all hosts counts as well, which takes a busy machine more than a minute.
        "late": r"its clock is 24 h 0\d min behind this machine's",
        "full": "its disk is full",
        "dark": "it cannot be reached",
    }
    for name, word in words.items():
        assert results[name]["result"] == "failed"
        assert re.match(f"{name}: {word}", results[name]["error"]["message"]), results[name]
        assert results[name]["error"]["hint"]
        if name not in ("dark", "nopython", "late"):
            assert lab[name].run("ls", ROOT, check=False) in ("", "bin\n")

    # The same, as a person sees it.
    shown = lab.toolkit("hosts", check=False)
    assert shown.returncode == 7
    states = {line.split()[0]: line.split()[1] for line in shown.stdout.splitlines()[1:8]}
    assert states == {
        "good": "converged",
        "late": "unfit",
        **dict.fromkeys(("nosudo", "nokey", "nopython", "full", "dark"), "unreachable"),
    }
    assert "nokey: it refuses our key" in shown.stdout

    ready = _everything(good)
    again = _json(lab, "provision", "--yes", "good")["hosts"]["good"]
    assert (again["result"], again["seconds"]) == ("nothing to do", 0)
    forced = _json(lab, "provision", "--yes", "--force", "good")["hosts"]["good"]
    assert (forced["result"], forced["changed"]) == ("nothing to do", [])
    assert _everything(good) == ready


def test_the_firewall_lets_in_whom_it_should_and_touches_no_rules_but_its_own(
    lab: FleetLab,
) -> None:
    good = lab["good"]
    if "table inet toolkit" not in good.run("nft", "list", "tables"):
        _json(lab, "provision", "--yes", "good")
    good.run("nft", "add table ip theirs")
    listen = "import socket, time; each = socket.create_server(('', 9999)); time.sleep(600)"
    good.run("systemd-run", "--unit=theirs", "/usr/bin/python3", "-c", listen)
    good.run("sh", "-c", "until ss -ltn | grep -q :9999; do sleep 0.05; done")
    assert _opens(good, 22)
    assert _opens(good, 8080)
    assert not _opens(good, 9999, 1)
    # Nobody who reaches an open port fills the table of connections.
    before = _tracked(good)
    assert all(_opens(good, port) for port in (22, 8080) for _ in range(100))
    assert _tracked(good) < before + 50
    # Loaded once more, as at a boot, and taken away where it is no longer wanted.
    good.run("systemctl", "restart", "toolkit-firewall.service")
    assert not _opens(good, 9999, 1)
    # Exporters are read through the router, and listen on loopback alone.
    figures = _metrics(good, "node")
    assert "node_memory_MemAvailable_bytes " in figures
    assert 'node_scrape_collector_success{collector="systemd"} 1' in figures
    assert _metrics(good, "dcgm") == "DCGM_FI_DEV_XID_ERRORS 0\n"
    assert _listening(good) & {"9100", "9400", "9500"} == {"9100", "9500"}
    assert "9100" not in _listening(good, "0.0.0.0") | _listening(good, "*")
    assert good.run("systemctl", "is-enabled", *UNITS, check=False).split() == ["disabled"] * 2
    text = lab.inventory.read_text()
    without = text.replace("toolkit_exporters: [node, dcgm]", "toolkit_exporters: []")
    without = without.replace("    toolkit_dcgm_exporter: 9500\n", "")
    lab.inventory.write_text(without.replace("toolkit_firewall: true", "toolkit_firewall: false"))
    try:
        refused = lab.toolkit("provision", "--yes", "good", check=False)
        assert refused.returncode == 3 and "--turn-off firewall" in refused.stderr
        done = _json(lab, "provision", "--yes", "--turn-off", "firewall", "good")["hosts"]["good"]
    finally:
        lab.inventory.write_text(text)
    assert {
        "Stop the firewall and remove its files",
        "Stop and remove the exporters that are not wanted",
    } <= set(done["changed"])
    assert _listening(good) & {"9100", "9500"} == set()
    assert (
        good.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "toolkit-exp*") == ""
    )
    assert "toolkit-exporter" not in good.run("ls", "-R", "/etc/systemd/system")
    assert _opens(good, 9999)
    assert good.run("nft", "list", "tables") == "table ip theirs\n"


def _spoil(lab: FleetLab) -> None:
    """Give each host but the good one a trouble of its own."""
    lab["nosudo"].run("sh", "-c", "echo 'ops ALL=(ALL) ALL' >/etc/sudoers.d/ops")
    lab["nokey"].run("sh", "-c", "echo >/home/ops/.ssh/authorized_keys")
    lab["nopython"].run("sh", "-c", "rm /usr/bin/python3*")
    lab["late"].set_clock(-DAY)
    lab["full"].fill_disk()
    lab["dark"].power_off()


def _pack(directory: Path) -> None:
    """Write the package files of the exporters; a service of theirs would listen on all addresses."""
    repack("prometheus-node-exporter", directory)
    for each in ("core", "proprietary"):
        stand_in(f"datacenter-gpu-manager-4-{each}", directory)
    unit = "[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n"
    files = {"/usr/bin/dcgm-exporter": DCGM, f"/usr/lib/systemd/system/{UNITS[1]}": unit}
    stand_in("datacenter-gpu-manager-exporter", directory, files)


def _metrics(machine: Machine, exporter: str) -> str:
    return machine.run("curl", "--silent", f"http://127.0.0.1:8405/metrics/{exporter}")


def _listening(machine: Machine, address: str = "127.0.0.1") -> set[str]:
    """Return the ports at which TCP is taken there."""
    places = [line.split()[3].rpartition(":") for line in machine.run("ss", "-ltnH").splitlines()]
    return {port for at, _, port in places if at == address}


def _opens(machine: Machine, port: int, seconds: float = 30) -> bool:
    """Whether a port takes a connection; one that a firewall keeps is silent for as long as anybody waits."""
    try:
        with socket.create_connection((machine.address, port), timeout=seconds):
            return True
    except TimeoutError:
        return False


def _tracked(machine: Machine) -> int:
    """Return how many connections the kernel of a machine follows."""
    return int(machine.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))


def _json(lab: FleetLab, *words: str) -> Any:
    return json.loads(lab.toolkit(*words, "--json").stdout)


# What commands and the watch write below the root at any time.
_OF_OTHERS = (
    "bin*", "*/*.sock", "deployment.lock", "watch", "use", "logs",
    "router/host.prom", "router/.host.prom.*", "router/use.json", "router/.use.json.*",
)  # fmt: skip


def _everything(machine: Machine) -> tuple[str, str, str]:
    """Return every file that a playbook could touch, with owner and times, every unit's state and all rules."""
    skipped = [word for each in _OF_OTHERS for word in ("-path", f"{ROOT}/{each}", "-prune", "-o")]
    # Directories in which others make files have new times themselves.
    unnamed = ["-path", ROOT, "-o", "-path", f"{ROOT}/router", "-o"]
    shown = ["-printf", "%p %m %u %g %s %T@\n"]
    files = machine.run("find", "/etc", ROOT, *skipped, *unnamed, *shown, check=False)
    units = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "toolkit*")
    return files, units, machine.run("nft", "list", "ruleset")
