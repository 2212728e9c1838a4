"""Faults of a new version, and what became of it without a person: by which gate it was stopped, and at what price."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import NamedTuple

from tests.system.stub_site import StubSite
from toolkit.adapters.fakes.behaviour import Behaviour

# On one of three hosts the release gets a third of each share.
GUARD = (
    "{canary: [{share: 30%, duration: 3s, requests: 10}], bake: 12s, patience: 60s, "
    "speed: {pairs: 20, max_tokens: 4}}"
)
# So long that a test ends it.
LONG = "{canary: [{share: 30%, duration: 5min}], bake: 12s}"


class Fault(NamedTuple):
    """A behaviour, the gates that may stop it, and how many requests it may get wrong."""

    behaviour: Behaviour
    gates: tuple[str, ...]
    wrong: int


FAULTS = (
    Fault(Behaviour.DIES_AT_ONCE, ("checks",), 0),
    Fault(Behaviour.ERRORS_TO_CLIENTS, ("canary",), 40),
    Fault(Behaviour.EMPTY_LATER, ("canary",), 80),
    Fault(Behaviour.WRONG_LATER, ("canary",), 80),
    Fault(Behaviour.ERRORS_AT_TIMES, ("canary", "bake"), 60),
    Fault(Behaviour.SLOW, ("speed",), 0),
)


@dataclass(frozen=True)
class Returned:
    """How a version ended: the gate that stopped it, and the requests that it got and got wrong. Times in seconds."""

    code: int
    gate: str
    got: int
    wrong: int
    others: int
    seconds: float
    words: str


def try_version(site: StubSite, version: str, host: str) -> Returned:
    """Upgrade one host to a version under load, as a night without a person would."""
    slots = [each for each in site.status()["slots"] if each["host"] == host]
    (new,) = {"blue", "green"} - {each["slot"] for each in slots if each["weight"]}
    load = site.load(host, ["v1", version])
    began = time.monotonic()
    done = site.lab.toolkit(
        "upgrade", "tiny", "--to", version, "--yes", "--host", host, "--drain-timeout", "1", check=False
    )  # fmt: skip
    took, report = time.monotonic() - began, load.stop()
    mine = [each for each in report.answers if each.slot == f"{host}.{new}"]
    bad = [each for each in report.bad if each in mine or not each.slot]
    gates = json.loads(site.lab.toolkit("releases", "tiny", "--json").stdout)["gates"]
    failed = next((each["gate"] for each in gates if each["verdict"] == "failed"), "")
    return Returned(
        done.returncode, failed, len(mine), len(bad), len(report.bad) - len(bad), took, done.stderr
    )
