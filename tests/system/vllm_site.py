"""A fleet of whole hosts with real vLLM and the demo's model: nothing on them stands for anything else.

The engine is the one that the tests of this machine itself have installed. Hosts see it read-only under the same path,
so that it takes neither time nor memory again: their root is this machine's.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.lab import registry_text
from tests.fleet.lab import fleet_lab
from tests.fleet.machine import Machine
from tests.system.fleet_site import DOOR, MODEL, Site
from tests.system.models import CACHE, exact_answers, made_models

REGISTRY = registry_text(MODEL, "{path: ./model}")
PINNED = ("v1", "v2")


@dataclass(frozen=True)
class VllmSite(Site):
    """The fleet, the directory of all models, and prompt -> version -> its exact answer."""

    root: str
    models: Path
    answers: Mapping[str, Mapping[str, str]]

    def pin(self, version: str) -> None:
        """Pin a variant as a version of that name."""
        model = self.lab.directory / "model"
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(self.models / version, model)
        self.lab.toolkit("registry", "pin", MODEL, "--as", version)
        self.lab.toolkit("pull", f"{MODEL}@{version}")

    def short_answers(self) -> dict[str, Mapping[str, str]]:
        """Return prompt -> version -> answer, without the long ones."""
        return {prompt: known for prompt, known in self.answers.items() if prompt != "Count."}

    def unit(self, slot: str) -> str:
        """Return the name of the unit that runs the replica of a slot."""
        return f"{Path(self.root).name}-{MODEL}-{slot}.service"

    def exposure(self, machine: Machine, slot: str) -> float:
        """Return how open systemd finds the unit of a slot: 0 is closed, 10 open."""
        unit = self.unit(slot)
        shown = machine.run("systemd-analyze", "security", "--no-pager", unit)
        score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
        assert score is not None, shown
        return float(score.group(1))

    def log(self, machine: Machine, slot: str) -> str:
        """Return what the engine of a slot has said since its start."""
        return machine.run("cat", f"{self.root}/logs/{MODEL}-{slot}.log")


@contextmanager
def vllm_site(engine: Path, hosts: int, registry: str = REGISTRY) -> Iterator[VllmSite]:
    """Boot hosts that have the `engine` of this machine and are bare otherwise; `v1` and `v2` are pinned.

    `registry` is the text of the registry, with the model `tiny` from `{path: ./model}`. Hosts whose Python is not this
    machine's have no use for the engine: the toolkit installs them one from the same packages.
    """
    root, models = engine.parents[1], made_models(engine)
    variables = {**DOOR, "toolkit_root": str(root)}
    with fleet_lab(hosts, shares={str(engine): engine}, variables=variables) as lab:
        lab.registry.write_text(registry)
        (lab.home / "wheelhouse").symlink_to(CACHE / "wheelhouse")
        site = VllmSite(lab, str(root), models, exact_answers(models, *PINNED))
        for version in PINNED:
            site.pin(version)
        yield site
