"""What commands print with `--json`: the same document for one host and for three, each as its schema has it.

`Prompt` holds every document of every test to its schema. Here each command prints one at least.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.cli.shell import Prompt, Said
from tests.cli.small_model import write_model, write_registry
from tests.json_documents import command_of
from tests.test_json_documents import WITH_JSON
from tests.workflows.bundled import Office
from tests.workflows.test_engine import whole
from tests.workflows.world import World, fleet_host
from toolkit.adapters.ansible.converge import Progress, Require, nothing
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.fakes.converge import FakeConverge
from toolkit.adapters.hosts.client import Clients
from toolkit.adapters.hosts.port import CheckedEngine
from toolkit.cli.main import COMMANDS
from toolkit.cli.opening.trail import trail_now
from toolkit.config.engine_locks import SHIPPED
from toolkit.domain.deployment.release import Attempt, Outcome
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError

REGISTRY = """\
policy:
  licences: {{allowed: [mit]}}
models:
  tiny:
    description: a small one
    licence: mit
    openness: fully-open
    source: {{path: ./model}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 64MiB}}
    serving: {{kv-cache-memory-bytes: 33554432}}
    checks: [{{prompt: hi}}]
    objectives: {{availability: 99%, first_token: {{target: 95%, under: 2s}}}}
    versions:
      v1: {{revision: {revision}}}
      v2: {{revision: {revision}, serving: {{max-model-len: 512}}}}
"""
ON_FLEET = (
    "plan tiny@v1", "diff tiny@v1", "deploy tiny@v1 --dry-run", "deploy tiny@v1 --yes", "deploy tiny@v1 --yes",
    "diff tiny", "gate tiny@v2 --dry-run", "gate tiny@v2 --yes", "gate run tiny@v1",
    "gate record tiny --prompts prompts.txt --output golden.yaml", "upgrade tiny --yes",
    "top", "report --no-outdated", "prove tiny --output evidence.json", "perimeter check",
    "plan tiny", "rollback tiny --yes", "status", "status tiny", "releases tiny", "logs tiny", "requests", "verify",
    "hosts",
    "ask tiny hello --slot blue", "export litellm", "config",
    "sleep tiny --dry-run", "sleep tiny --yes", "wake tiny",
    "doctor", "keys add ann --concurrency 4", "keys list", "keys sync", "keys revoke ann", "keys open",
    "provision --dry-run", "provision --yes", "engine list", "engine install 0.32.0 --dry-run",
    "engine install 0.32.0 --yes", "prune --dry-run", "prune --yes", "repair --dry-run", "repair --yes",
    "outdated --no-engines", "meter", "stop tiny --dry-run", "stop tiny --yes", "status", "hosts drain gpu1 --dry-run",
    "hosts drain gpu1 --yes",
    "hosts forget gpu9 --dry-run", "hosts forget gpu9 --yes",

    "audit", "audit list", "audit show ID", "audit verify", "notify", "bom tiny", "usage", "slo",
    "metrics setup prometheus", "metrics show",
)  # fmt: skip
ELSEWHERE = (
    "registry init", "registry list", "registry show tiny", "registry check", "registry pin tiny --as v3 --dry-run",
    "registry accept tiny@v2", "update tiny --dry-run", "update tiny",
    "schedule list", "schedule next", "schedule run --dry-run", "schedule run", "schedule install --to units",
    "schedule remove --to units",
    "pull tiny@v1 --dry-run", "pull tiny@v1", "pull --all", "mirror",
    "bundle create tiny --python 3.11 --to bundle --dry-run", "bundle create tiny --python 3.11 --to bundle",
    "bundle show bundle", "bundle load bundle --dry-run", "bundle load bundle --yes",
    "engine lock 0.32.0 --accelerator cpu", "notify test", "prices haiku",
    "which tiny --tokens-in 1000000 --tokens-out 1000",
    "idle",
    "cost --tokens-in 1000000 --tokens-out 1000 --what-if traffic=2",
)  # fmt: skip
# test_watch.py tries them, while a guard watches.
UNDER_GUARD = ("watch tiny --once", "promote tiny", "abort tiny")


SCHEDULE = """\
time_zone: UTC
windows:
  always: {days: [mon, tue, wed, thu, fri, sat, sun], from: 00:00, for: 24h}
models:
  tiny: {policy: pin-only}
"""

COSTS = """\
currency: USD
hosts:
  gpu1: {from: 2026-01-01, hourly: 2.50}
capacity:
  - {model: tiny, input: 1000, output: 100, measured: 2026-11-01}
"""


class Fleet:
    """A prompt whose commands meet the hosts of a `World`."""

    def __init__(self, prompt: Prompt, patch: pytest.MonkeyPatch, count: int) -> None:
        self.prompt, self.world = prompt, World(prompt.place, count)
        # Hosts whose clocks are far off cannot be provisioned.
        self.world.time = time.time()
        self.world.see(observed_at=self.world.time)
        place = prompt.place
        pinned = write_model(place / "model")
        write_registry(place / "model_registry.yaml", REGISTRY, pinned)
        (place / "prompts.txt").write_text("hello\n")
        there = {each.path: {"size": each.size, "sha256": each.sha256} for each in pinned.files}
        for host in self.world.hosts.values():
            patch.setattr(host, "hash_files", lambda *_: there)
        hosts = [fleet_host(number, count) for number in range(1, count + 1)]
        rows = "".join(f"    {each.name}: {{ansible_host: {each.address}}}\n" for each in hosts)
        (place / "fleet.yaml").write_text(f"all:\n  hosts:\n{rows}")
        prompt.set("TOOLKIT_FLEET", place / "fleet.yaml")
        commands = [each.partition(":")[0] for each, _ in COMMANDS.values()]
        # `deploy` and `rollback` use the last.
        for module in (*commands, "toolkit.cli.opening.context", "toolkit.cli.changing.change"):
            for name, stand_in in self._stand_ins().items():
                if hasattr(importlib.import_module(module), name):
                    patch.setattr(f"{module}.{name}", stand_in)

    def _stand_ins(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "connect": lambda _, home: Clients(home),
            "open_port": lambda host, _: self.world.hosts[host.name],
            "open_members": lambda *_, **__: tuple(
                replace(each, trail=trail_now()) for each in self.world.command()
            ),
            "open_history": lambda *_, **__: self.world.history,
            "open_converge": lambda *_, **__: _Playbooks(self.world),
        }

    def depart(self) -> None:
        """Record that gpu9 changed together with gpu1, and is a host of the fleet no more."""
        for host in ("gpu1", "gpu9"):
            opened = self.world.history.open_deployment(Attempt(
                model="tiny", action="deploy", release=1, previous=None, slot="blue", actor="ann",
                host=host, rollout="r9",
            ))  # fmt: skip
            self.world.history.end_deployment(opened, Outcome.LIVE)

    def __call__(self, line: str) -> Said:
        return self.prompt(*line.split(), "--json")


class _Playbooks:
    """The playbooks on each host of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def prepare(self) -> None:
        """Nothing takes time here."""

    def run(
        self,
        playbook: str,
        host: Host,
        variables: Mapping[str, Any],
        progress: Progress,
        require: Require = nothing,
    ) -> tuple[str, ...]:
        target = FakeConverge(self._world.hosts[host.name])
        return target.run(playbook, host, variables, progress, require)


@pytest.fixture(params=[1, 3], ids=["one host", "three hosts"])
def fleet(request: pytest.FixtureRequest, prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    return Fleet(prompt, monkeypatch, request.param)


def test_every_command_with_json_is_tried() -> None:
    assert {
        command_of([*line.split(), "--json"]) for line in (*ON_FLEET, *ELSEWHERE, *UNDER_GUARD)
    } == WITH_JSON


def test_documents_are_the_same_for_one_host_and_for_three(fleet: Fleet) -> None:
    for line in ON_FLEET:
        if "forget" in line:
            fleet.depart()
        if line.startswith("audit") and "ID" in line:
            line = line.replace("ID", fleet("audit list --limit 1").json()["entries"][0]["id"])
        said = fleet(line)
        assert said.code == 0, (line, said.out, said.err)
        hosts = said.json().get("hosts") or said.json().get("plan", {}).get("hosts")
        assert hosts is None or isinstance(hosts, str) or set(hosts) == set(fleet.world.hosts), line


FAILING = {
    "status": 7,
    "hosts": 7,
    "provision --yes": 7,
    "doctor": 7,
    "keys list": 7,
    "keys add bob": 7,
    "verify": 7,
    "plan tiny": 0,
    "deploy tiny@v2 --dry-run": 0,
    "engine list": 0,
    "engine install 0.32.0 --yes": 7,
    "prune --yes": 7,
    "stop tiny --yes": 7,
}


@pytest.mark.parametrize("fleet", [3], indirect=True)
def test_where_a_host_is_unreachable_the_document_names_it_and_has_the_others(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fleet("deploy tiny@v1 --yes").code == 0

    def unreachable(*_: Any) -> Any:
        raise HostError("gpu2: it does not answer", hint="ping gpu2")

    for operation in ("observe", "keys", "apply_keys"):
        monkeypatch.setattr(fleet.world.hosts["gpu2"], operation, unreachable)
    for line, code in FAILING.items():
        said = fleet(line)
        assert said.code == code, (line, said.out, said.err)
        document = said.json()
        assert "gpu2" in said.out, line
        if line.split()[0] in ("status", "hosts", "keys", "verify", "engine list"):
            assert list(document["unreachable"]) == ["gpu2"], line
        if line in ("status", "hosts", "provision --yes", "verify"):
            assert document["error"]["hosts"]["gpu2"]["hint"] == "ping gpu2", line


def test_a_change_that_fails_prints_the_error_of_each_host(fleet: Fleet) -> None:
    assert fleet("deploy tiny@v1 --yes").code == 0
    fleet.world.behave("v2", Behaviour.DIES_AT_START)
    said = fleet("upgrade tiny --yes")
    error = said.json()["error"]
    assert (said.code, error["kind"]) == (8, "release-failed")
    assert "gpu1" in error["hosts"]
    outcomes = [each["outcome"] for each in fleet("releases tiny").json()["deployments"]]
    assert outcomes.count("failed") == 1
    status = fleet("status").json()
    assert {each["release"]["version"] for each in status["slots"]} == {"v1"}


def test_what_verify_finds_stands_beside_its_error(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fleet("deploy tiny@v1 --yes").code == 0
    monkeypatch.setattr(fleet.world.host, "hash_files", lambda *_: {})
    said = fleet("verify")
    (damaged,) = [each for each in said.json()["snapshots"] if each["faults"]]
    assert (said.code, damaged["where"]) == (6, "gpu1")
    assert said.json()["error"]["kind"] == "integrity"


@pytest.mark.parametrize("finds", ["damaged files", "drift"])
def test_what_verify_finds_says_nothing_of_a_host_that_does_not_answer(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch, finds: str
) -> None:
    fleet = Fleet(prompt, monkeypatch, 2)
    assert fleet("deploy tiny@v1 --yes").code == 0
    if finds == "drift":
        fleet.world.see("gpu1", changed_files=("router/model.lua was changed",))
    else:
        monkeypatch.setattr(fleet.world.host, "hash_files", lambda *_: {})

    def unreachable() -> Any:
        raise HostError("gpu2: it does not answer", hint="ping gpu2")

    monkeypatch.setattr(fleet.world.hosts["gpu2"], "observe", unreachable)
    error = fleet("verify").json()["error"]
    assert (error["kind"], set(error["hosts"])) == ("integrity", {"gpu2"})
    assert error["message"].endswith("\nthese hosts were not checked:\n  gpu2: it does not answer")


def test_what_verify_finds_of_engines_and_of_the_toolkits_own_files_is_drift(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fleet("deploy tiny@v1 --yes").code == 0
    changed = CheckedEngine(sealed=True, files=1, size=1, faults=("bin/vllm: was changed",))
    monkeypatch.setattr(fleet.world.host, "check_engine", lambda *_: changed)
    fleet.world.see("gpu1", changed_files=("router/model.lua was changed",))
    said = fleet("verify")
    (engine,) = fleet.world.host.facts.engines
    assert said.json()["drift"] == [
        "gpu1: router/model.lua was changed",
        f"gpu1 engine {engine}: bin/vllm: was changed",
    ]
    assert said.code == 6
    assert "toolkit provision --force" in said.json()["error"]["hint"]
    assert fleet("status").json()["drift"] == ["gpu1: router/model.lua was changed"]


def test_a_version_that_fits_nowhere_is_shown_with_its_error(fleet: Fleet) -> None:
    fleet.world.see(memory=2**20, memory_available=2**20)
    said = fleet("plan tiny@v1")
    assert (said.code, said.json()["fits"]) == (3, False)
    assert said.json()["error"]["kind"] == "does-not-fit"
    assert set(said.json()["hosts"]) == set(fleet.world.hosts)


def test_a_registry_with_faults_is_one_document(prompt: Prompt) -> None:
    registry = REGISTRY.format(revision="1" * 40)
    (prompt.place / "model_registry.yaml").write_text(registry.replace("[mit]", "[apache-2.0]"))
    said = prompt("registry", "check", "--json")
    assert (said.code, said.json()["models"]) == (2, 1)
    assert [each["fault"] for each in said.json()["findings"]].count(True) >= 1
    assert said.json()["error"]["kind"] == "bad-input"


def test_an_interrupted_command_prints_its_error(fleet: Fleet) -> None:
    def press_ctrl_c(_: str) -> None:
        raise KeyboardInterrupt

    fleet.world.host.before = press_ctrl_c
    said = fleet("keys list")
    assert (said.code, said.err.strip()) == (130, "interrupted")
    assert said.json()["error"]["kind"] == "interrupted"


def on_this_machine(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the words of each command that concerns this machine alone, once it finds all that it needs."""
    office = Office(prompt.place / "office")
    office.stock()
    monkeypatch.chdir(prompt.place)
    (prompt.place / "schedule.yaml").write_text(SCHEDULE)
    (prompt.place / "costs.yaml").write_text(COSTS)
    for line in ELSEWHERE:
        at_site = line.startswith(("bundle load", "engine lock", "registry init"))
        home = prompt.place / "site" if at_site else office.place
        home.mkdir(exist_ok=True)
        prompt.set("TOOLKIT_HOME", home / "home")
        prompt.set("TOOLKIT_REGISTRY", home / "model_registry.yaml")
        if line == "registry init":
            (prompt.place / "init").mkdir()
            monkeypatch.chdir(prompt.place / "init")
        if line == "notify test":
            text = "channels: [{name: ops, webhook: 'https://ops.example/hook'}]"
            (home / "home" / "notify.yaml").write_text(text)
        yield line
        monkeypatch.chdir(prompt.place)


def test_what_concerns_this_machine_alone_is_documented_too(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in on_this_machine(prompt, monkeypatch):
        said = prompt(*line.split(), "--json")
        assert said.code == 0, (line, said.out, said.err)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asks a Hub or an index, and the mirror ends once it listens."""
    monkeypatch.setattr(
        "toolkit.adapters.mirror.server.serve", lambda _, bind, listening: listening(bind)
    )
    monkeypatch.setattr("toolkit.adapters.notices.delivery.deliver", lambda *_: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    text = (SHIPPED / "vllm-0.32.0-cpu-py311.lock").read_text()
    newer = text.replace("anyio==4.16.0", "anyio==4.17.0")
    assert newer != text
    monkeypatch.setattr("toolkit.cli.commands.engine.resolve", lambda *_: newer)
    monkeypatch.setattr("toolkit.cli.commands.engine.read_sources", whole)
