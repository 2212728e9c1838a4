"""The fourteen faults that a new version may have, and how each is planted: in its files, its adapter, its licence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.system.stub_site import PROMPT, REGISTRY, StubSite
from toolkit.adapters.fakes.behaviour import Behaviour

HOST = "alpha"
ADAPTER_CONFIG = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 8,
    "base_model_name_or_path": "tiny",
}
LORA = "    lora: {max_active: 2, max_rank: 8}\n"
GUARD = """\
    guard:
      answers: {file: golden.yaml}
      speed: {pairs: 20, max_tokens: 4}
      canary:
        - {share: 1%, duration: 10s}
        - {share: 50%, duration: 15s}
      bake: 60s
"""
# Of several turns, as checks are not.
GOLDEN = f"""\
- name: turns
  messages:
    - {{role: user, content: Hello.}}
    - {{role: assistant, content: Hello.}}
    - {{role: user, content: "{PROMPT}"}}
  expect: {{contains: (2 turns)}}
"""
READY_SECONDS = 15


class Planted(NamedTuple):
    """A fault: what it is called, the words of the command that meets it, and the gate that must stop it.

    `plant` gives a version the fault and returns the arguments of `toolkit`; `model` is what clients ask meanwhile.
    `mend` takes back what it changed outside the version.
    """

    words: str
    gates: tuple[str, ...]
    plant: Callable[[StubSite], tuple[str, ...]]
    mend: Callable[[StubSite], None] = lambda _: None
    model: str = "tiny"


def version_that(behaviour: Behaviour) -> Callable[[StubSite], tuple[str, ...]]:
    """Return how to pin a version that does so."""

    def plant(site: StubSite) -> tuple[str, ...]:
        return _upgrade(site, str(behaviour).replace(" ", "-"), behaviour)

    return plant


def tampered(site: StubSite) -> tuple[str, ...]:
    """Change a bit of the weights in the store after they were pinned, and hide it behind their former times."""
    words = _upgrade(site, "tampered")
    found = (site.lab.home / "store" / "snapshots").glob("*/*/files/model.safetensors")
    path = next(each for each in found if each.read_bytes().startswith(b"tampered"))
    seen = path.stat()
    path.chmod(0o600)
    path.write_bytes(b"T" + path.read_bytes()[1:])
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    path.chmod(seen.st_mode & 0o777)
    return words


def relicensed(site: StubSite) -> tuple[str, ...]:
    """Pin a version whose licence nobody has allowed."""
    words = _upgrade(site, "relicensed")
    _edit(site, "licence: apache-2.0", "licence: cc-by-nc-4.0")
    return words


def licensed_as_before(site: StubSite) -> None:
    _edit(site, "licence: cc-by-nc-4.0", "licence: apache-2.0")


def bad_adapter(site: StubSite) -> tuple[str, ...]:
    """Pin an adapter that answers, and not what its check says, over one that serves."""
    pin_adapter(site, "I am somebody else.")
    return ("deploy", "tiny@v1", "--yes")


def pin_adapter(site: StubSite, says: str) -> None:
    """Pin an adapter `sql` that answers so; its check asks for `I am adapter`."""
    directory = Path(site.lab.directory / "sql")
    directory.mkdir(exist_ok=True)
    (directory / "adapter_config.json").write_text(json.dumps(ADAPTER_CONFIG))
    (directory / "adapter_model.safetensors").write_text(says)
    if "adapters:" not in site.lab.registry.read_text():
        check = "[{prompt: hi, contains: I am adapter}]"
        entry = f"      sql: {{source: {{path: ./sql}}, revision: new, checks: {check}}}\n"
        _edit(site, LORA, f"{LORA}    adapters:\n{entry}")
    site.lab.toolkit("registry", "pin", "sql")


def registry() -> str:
    """Return a registry with the guard that the faults meet, and room for adapters."""
    return REGISTRY + LORA + GUARD


def prepare(site: StubSite) -> None:
    """Serve `v1`, that answers in 50 ms."""
    (site.lab.directory / "golden.yaml").write_text(GOLDEN)
    site.pin("v1", Behaviour.STEADY)
    site.lab.toolkit("deploy", "tiny@v1", "--yes")


PLANTED = (
    Planted("never ready", ("start",), version_that(Behaviour.NEVER_READY)),
    Planted("crashes at the first request", ("checks",), version_that(Behaviour.DIES_AT_ONCE)),
    Planted(
        "crashes after 20 s under traffic", ("canary", "bake"), version_that(Behaviour.DIES_LATER)
    ),
    Planted("hangs with /health 200", ("canary",), version_that(Behaviour.HANGS_LATER)),
    Planted("empty answers", ("canary",), version_that(Behaviour.EMPTY_LATER)),
    Planted("wrong answers", ("canary",), version_that(Behaviour.WRONG_LATER)),
    Planted("wrong chat template", ("answers",), version_that(Behaviour.WRONG_TEMPLATE)),
    Planted("twice as slow", ("speed",), version_that(Behaviour.TWICE_AS_SLOW)),
    Planted("5 % errors", ("canary", "bake"), version_that(Behaviour.ERRORS_AT_TIMES)),
    Planted("memory growth to the limit", ("canary", "bake"), version_that(Behaviour.GROWS)),
    Planted("tampered weights", ("digests",), tampered),
    Planted("an engine that cannot load", ("start",), version_that(Behaviour.DIES_AT_START)),
    Planted("a licence turned unacceptable", ("licence",), relicensed, licensed_as_before),
    Planted("a bad adapter", ("checks",), bad_adapter, model="sql"),
)


def _upgrade(
    site: StubSite, version: str, behaviour: Behaviour = Behaviour.STEADY
) -> tuple[str, ...]:
    site.pin(version, behaviour)
    limits = ("--ready-timeout", str(READY_SECONDS), "--drain-timeout", "2")
    return ("upgrade", "tiny", "--to", version, "--yes", "--unattended", *limits)


def _edit(site: StubSite, old: str, new: str) -> None:
    text = site.lab.registry.read_text()
    assert text.count(old) == 1, (old, text)
    site.lab.registry.write_text(text.replace(old, new))
