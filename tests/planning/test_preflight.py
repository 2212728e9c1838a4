"""Which hosts can be provisioned, and what is said of those that cannot."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planning.facts import GB
from tests.planning.facts import host as any_host
from toolkit.domain.hosts.facts import Device, HostFacts, RouterFacts
from toolkit.planning.change.preflight import Obstacle, preflight, reason_to_provision, remarks

NOW = 1_800_000_000.0


def host(**more: Any) -> HostFacts:
    """Return a Debian 12 host that lacks nothing."""
    return any_host(
        **{
            "observed_at": NOW,
            "os": "Debian GNU/Linux 12 (bookworm)",
            "os_id": "debian",
            "os_version": "12",
            "architecture": "x86_64",
            "disk_total": 10**12,
            **more,
        }
    )


def gpu(**more: Any) -> Device:
    return Device(
        **{
            "index": 0,
            "name": "H200",
            "memory": GB,
            "memory_free": GB,
            "driver": "580.95.05",
            **more,
        }
    )


@pytest.mark.parametrize(
    "facts",
    [
        host(),
        host(os_version="13"),
        host(os="Debian GNU/Linux trixie/sid", os_version=""),
        host(os_id="ubuntu", os_version="24.04"),
        host(observed_at=NOW + 299),
        host(disk_free=2 * GB),
        host(init="supervisord", confines=False),
        host(accelerators=("nvidia",), devices=(gpu(),)),
        host(accelerators=("amd", "nvidia"), devices=(gpu(memory_errors=0),)),
    ],
)  # fmt: skip
def test_a_host_that_can_be_provisioned_has_no_faults(facts: HostFacts) -> None:
    assert preflight(facts, NOW) == ()


@pytest.mark.parametrize(
    ("facts", "words", "hint"),
    [
        (
            host(os="Rocky Linux 9.4", os_id="rocky", os_version="9.4"),
            "Rocky Linux 9.4 is not supported; supported are Debian 12 and Ubuntu 24.04 or newer",
            "install one of them, or take the host out of the fleet file",
        ),
        (
            host(os="Debian GNU/Linux 11 (bullseye)", os_version="11"),
            "Debian GNU/Linux 11 (bullseye) is not supported; supported are Debian 12 and Ubuntu 24.04 or newer",
            "install one of them, or take the host out of the fleet file",
        ),
        (
            host(os="Ubuntu 22.04.5 LTS", os_id="ubuntu", os_version="22.04"),
            "Ubuntu 22.04.5 LTS is not supported; supported are Debian 12 and Ubuntu 24.04 or newer",
            "install one of them, or take the host out of the fleet file",
        ),
        (
            host(architecture="aarch64"),
            "its processor is aarch64; engines are locked for x86_64",
            "take the host out of the fleet file",
        ),
        (
            host(confines=False),
            "it runs control groups of version 1, under which a replica could reach any address",
            "boot it with systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
        ),
        (
            host(accelerators=("amd",)),
            "its accelerators are AMD's, which are not supported yet",
            "take the host out of the fleet file",
        ),
        (
            host(observed_at=NOW + 86400),
            "its clock is 24 h 00 min ahead of this machine's",
            "set it there: sudo timedatectl set-ntp true; or look at this machine's: date",
        ),
        (
            host(observed_at=NOW - 301),
            "its clock is 5 min 01 s behind this machine's",
            "set it there: sudo timedatectl set-ntp true; or look at this machine's: date",
        ),
        (
            host(disk_free=10**8),
            "its disk is full: 100 MB of 1 TB are free, provisioning needs 1 GB",
            "toolkit prune, or make room there: df -h",
        ),
        (
            host(files_free=900),
            "its disk takes only 900 more files, an engine has tens of thousands",
            "toolkit prune, or remove files there: df -i",
        ),
        (
            host(read_only=True),
            "its disk takes no changes",
            "look there with dmesg, and mount it for writing",
        ),
        (
            host(noexec=True),
            "its disk for engines is mounted noexec: no program runs there",
            "mount it there with exec, or name a directory on another disk as toolkit_root",
        ),
        (
            host(tmp_free=10**6),
            "its /tmp is full: 1 MB are free, provisioning needs 50 MB",
            "make room there: df -h /tmp",
        ),
        (
            host(accelerators=("nvidia",), driver_fault="NVIDIA-SMI has failed"),
            "its NVIDIA driver does not work: NVIDIA-SMI has failed",
            "name a nvidia_driver_package for it in the fleet file, or install one there",
        ),
        (
            host(devices=(gpu(), gpu(index=1, driver="570.1"))),
            "its NVIDIA driver is 570.1; CUDA 13 needs 580 or newer",
            "name a nvidia_driver_package for it in the fleet file, or install one there",
        ),
        (
            host(devices=(gpu(memory_errors=2, remapping="pending"),)),
            "device 0 (H200) has 2 uncorrected memory errors",
            "reset it there: sudo nvidia-smi --gpu-reset -i 0",
        ),
        (
            host(devices=(gpu(remapping="pending"),)),
            "device 0 (H200) waits for a reset to replace memory rows",
            "reset it there: sudo nvidia-smi --gpu-reset -i 0",
        ),
        (
            host(devices=(gpu(memory_errors=2, remapping="failed"),)),
            "device 0 (H200) has no spare memory rows left",
            "have the device replaced",
        ),
        (
            host(devices=(gpu(), gpu(index=1, memory=0, fault="split"))),
            "device 1 (H200) is split into parts (MIG), and replicas take whole devices",
            "make it whole there: sudo nvidia-smi -i 1 -mig 0",
        ),
        (
            host(devices=(gpu(memory=0, fault="[GPU requires reset]"),)),
            "device 0 (H200) does not say its memory: [GPU requires reset]",
            "reset it there: sudo nvidia-smi --gpu-reset -i 0; or reboot the host",
        ),
        (
            host(accelerators=("nvidia",), devices=(gpu(),), driver_fault="no handle for GPU1"),
            "its NVIDIA driver has lost a device: no handle for GPU1",
            "reboot the host; should it stay lost, have the device replaced",
        ),
    ],
)
def test_what_stands_in_the_way_is_said_once_with_what_to_do(
    facts: HostFacts, words: str, hint: str
) -> None:
    assert preflight(facts, NOW) == (Obstacle(words, hint),)


def test_a_driver_that_is_to_be_installed_need_not_be_there_yet() -> None:
    bare = host(accelerators=("nvidia",), driver_fault="nvidia-smi is not there")
    old = host(devices=(gpu(driver="535.2"),))
    for facts in (bare, old):
        assert preflight(facts, NOW, "nvidia-driver-580=580.95.05-1") == ()
        assert len(preflight(facts, NOW)) == 1


def test_a_hot_device_is_worth_a_remark_and_no_more() -> None:
    facts = host(devices=(gpu(temperature=89), gpu(index=1, temperature=90)))
    assert preflight(facts, NOW) == ()
    assert remarks(facts) == ("device 1 has 90 degrees",)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (host(), ""),
        (host(converged=""), "it was never provisioned"),
        (host(converged="other"), "its roles or settings changed"),
        (host(router=RouterFacts()), "its router does not run"),
        (host(router=RouterFacts(silent=True)), "its router does not answer"),
        (host(router=RouterFacts(running=True)), "its router's configuration is gone"),
    ],
)
def test_a_host_is_provisioned_for_a_reason(facts: HostFacts, reason: str) -> None:
    assert reason_to_provision(facts, "base-1") == reason
