"""A fleet of whole hosts with a model whose engine is a stub: everything is real but what computes the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.load import Load
from tests.adapters.host_lab import STATES, STUB, WAYS
from tests.fleet.lab import fleet_lab
from tests.system.fleet_site import DOOR, MODEL, Site
from toolkit.adapters.fakes.behaviour import Behaviour

ROOT = "/var/lib/toolkit"
PROMPT = "Which version are you?"
REGISTRY = """\
policy: {licences: {allowed: [apache-2.0]}}
models:
  tiny:
    description: It says what it was told to say.
    licence: apache-2.0
    openness: fully-open
    source: {path: ./model}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 64MiB}
    checks: [{prompt: "Which version are you?", contains: "I am version"}]
"""


@dataclass(frozen=True)
class StubSite(Site):
    """The fleet, and the versions that can be deployed on it: `v1`, `v2`, ..."""

    def pin(self, version: str, behaviour: Behaviour = Behaviour.GOOD, size: int = 4096) -> None:
        """Pin a version of `size` bytes that does as `behaviour` says."""
        model = self.lab.directory / "model"
        model.mkdir(exist_ok=True)
        (model / "behaviour.txt").write_text(f"{behaviour}\n{self.answer(version)}\n")
        (model / "model.safetensors").write_bytes(version.encode() * (size // len(version)))
        self.lab.toolkit("registry", "pin", "tiny", "--as", version)
        self.lab.toolkit("pull", f"tiny@{version}")

    def answer(self, version: str) -> str:
        return f"I am version {version}."

    def load(
        self, host: str, versions: Sequence[str] = ("v1", "v2"), *, pause: float = 0.05
    ) -> Load:
        """Return a load of short requests, begun, on the door of one host; each client pauses so many seconds."""
        known = {PROMPT: {version: self.answer(version) for version in versions}}
        # Without a pause four clients take all of two cores, and what they are to watch waits for them.
        return Load(
            self.door(host), MODEL, known, stream_workers=0, pause=pause, extra={"user": "client"}
        ).start()

    def guard(self, guard: str) -> None:
        """Declare the `guard` of all versions, in YAML; it restarts nothing."""
        lines = self.lab.registry.read_text().splitlines(keepends=True)
        others = [line for line in lines if not line.startswith("    guard:")]
        at = next(place for place, line in enumerate(others) if line.startswith("    checks:"))
        self.lab.registry.write_text("".join([*others[:at], f"    guard: {guard}\n", *others[at:]]))


@contextmanager
def stub_site(hosts: int, registry: str = REGISTRY) -> Iterator[StubSite]:
    """Boot a fleet on which an engine seems to be installed, and nothing else has been done yet."""
    with fleet_lab(hosts, variables=DOOR, silence=6) as lab:
        lab.registry.write_text(registry)
        engine = engine_of("3.11")
        for machine in lab.machines:
            place = f"{ROOT}/engines/{engine}"
            machine.run("sh", "-c", _WRITE, "sh", f"{place}/bin/vllm", STUB.read_text())
            for each in (WAYS, STATES):
                machine.run("sh", "-c", _WRITE, "sh", f"{place}/bin/{each.name}", each.read_text())
            machine.run("ln", "-s", "/usr/bin/python3", f"{place}/bin/python")
            machine.run("sh", "-c", _WRITE, "sh", f"{place}/.complete", engine)
        yield StubSite(lab)


def engine_of(python: str) -> str:
    """Return the id of the engine that a host with this Python gets; hosts of the base tree have 3.11."""
    from toolkit.config.engine_locks import read_locks

    locks = read_locks(Path("/nonexistent"))
    return next(each.id for each in locks if each.python == python and each.accelerator == "cpu")


_WRITE = 'umask 022; mkdir -p "${1%/*}"; printf %s "$2" >"$1"; chmod 755 "$1"'
