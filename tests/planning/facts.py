"""Builders for the facts that plans are made from: say only what the case is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.plan import Step
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import Device, HostFacts, ProcessState, RouterFacts, SlotFacts
from toolkit.domain.registry.model import HubSource, Openness, Resources, Version
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.planning.change.deploy import Wanted
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

GB = 10**9
ENGINE = "vllm-0.32.0-cpu-py311-aaaaaaaa"
BASE = "base-1"
PORTS = {"blue": 8100, "green": 8101}


def release(number: int, *, memory: int = 3 * GB, devices: int = 1, gpu: bool = False) -> Release:
    """Return release `number` of `tiny`, version `v<number>`."""
    return Release(
        model="tiny",
        number=number,
        version=f"v{number}",
        source="demo/tiny",
        revision=f"{number:040x}",
        snapshot=f"{number:064x}",
        engine=ENGINE,
        accelerator="cuda" if gpu else "cpu",
        memory=memory,
        devices=devices,
        args=(),
        env={},
    )


def slot(
    name: str, held: Release | None, *, weight: int = 0, well: bool = True, **more: Any
) -> SlotFacts:
    """Return a slot with a replica that runs and answers; `well=False` has crashed."""
    state = ProcessState.RUNNING if well else ProcessState.FAILED
    return SlotFacts(
        **{
            "model": "tiny",
            "slot": name,
            "port": PORTS.get(name, 8102),
            "release": held,
            "process": state,
            "healthy": well,
            "weight": weight,
            "memory": held.memory if held and well else 0,
            **more,
        }
    )


def gpu(index: int, total: int, free: int) -> Device:
    """Return a device; sizes in GB."""
    return Device(index, "NVIDIA Test", total * GB, free * GB, "590.1")


def host(*slots: SlotFacts, snapshots: Iterable[int] = (), **more: Any) -> HostFacts:
    """Return a provisioned host with the engine, 24 GB of memory free and these releases' snapshots."""
    here = {each.release.number for each in slots if each.release} | set(snapshots)
    return HostFacts(
        **{
            "name": "localhost",
            "observed_at": 0.0,
            "init": "systemd",
            "os": "Debian",
            "python": "3.11",
            "memory": 24 * GB,
            "memory_available": 24 * GB - sum(each.memory for each in slots),
            "disk_free": 10**12,
            "cpus": 2,
            "engines": (ENGINE,),
            "snapshots": tuple(f"{number:064x}" for number in sorted(here)),
            "converged": BASE,
            "slots": slots,
            "router": RouterFacts(True, "127.0.0.1:8080", "2.6", 1, tls=True, keys=2, locked=True),
            **more,
        }
    )


def routes(**ports: int) -> dict[str, Any]:
    """Return `routes.json` with one route, of `tiny`, to these slots."""
    targets = tuple(Target(name, port) for name, port in ports.items())
    return with_model(Routes(), "tiny", targets, created=1).as_json()


def wanted(held: Release, action: str = "deploy", **more: Any) -> Wanted:
    """Return the ask for `held`; its 3 GB are in the store already."""
    return Wanted(**{"action": action, "release": held, "provision_digest": BASE, **more})


def kinds(steps: Iterable[Step]) -> list[str]:
    """Return `kind slot` of each step."""
    return [f"{step.kind} {step.slot}".strip() for step in steps]


def version(**more: Any) -> Version:
    """Return a version that runs on either accelerator with 16 GB."""
    resources = {
        "accelerators": (Accelerator.CUDA, Accelerator.CPU),
        "memory": 16 * GB,
        **more.pop("resources", {}),
    }
    return Version(
        **{
            "model": "tiny",
            "name": "v1",
            "source": HubSource("demo/tiny"),
            "revision": "1" * 40,
            "licence": "mit",
            "openness": Openness.FULLY_OPEN,
            "engine": EngineSpec("vllm", "0.32.0"),
            "resources": Resources(**resources),
            **more,
        }
    )
