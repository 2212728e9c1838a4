"""The replicas that gates work with: a new replica and the serving one, and questions to both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.golden import Fits, GoldenPrompt
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.kind import Kind
from toolkit.domain.replicas.answers import Answer, Vitals
from toolkit.errors import HostError, InputError
from toolkit.planning.guard.kinds import PATHS
from toolkit.workflows.tools import Say, Scores


@dataclass(frozen=True, slots=True)
class GatedReplica:
    """The replica of a release that gates ask. With `recorded` it runs no more: these are its answers, see `former.py`.

    `name` is that of an adapter, where that is asked and not the model itself.
    """

    slot: str
    port: int
    release: Release
    recorded: Mapping[str, Answer] | None = None
    name: str = ""

    @property
    def asked(self) -> str:
        """The name by which requests ask for it."""
        return self.name or self.release.model


@dataclass(frozen=True, slots=True)
class Gating:
    """The means of a gate: the new release and the serving one (None: there is none) on a host.

    `prompts` are the guard's golden prompts; `fits` matches texts with patterns and schemas. `began` is how both did
    before the gates, by slot; `scorer` gives what runs benchmarks. Where nothing serves beside the new release because
    it took the place of the former one, `former` has that one's recorded answers.
    """

    host: HostPort
    guard: Guard
    new: GatedReplica
    old: GatedReplica | None
    say: Say
    fits: Fits
    prompts: tuple[GoldenPrompt, ...] = ()
    began: Mapping[str, Vitals] = field(default_factory=dict)
    scorer: Callable[[], Scores] | None = None
    former: GatedReplica | None = None

    @property
    def beside(self) -> GatedReplica | None:
        """The release to compare answers with; None where there is none."""
        return self.old or self.former

    @property
    def rival(self) -> GatedReplica | None:
        """The release that serves beside the new one, if any: times and scores are compared with its own.

        An adapter answers in a replica of others: it is compared with the adapter that serves under its name, and one
        whose name is new with its base in the same replica.
        """
        if self.old or not self.new.name:
            return self.old
        return self.former or replace(self.new, name="")


def ask(
    host: HostPort, replica: GatedReplica, kind: Kind, payload: Mapping[str, Any], timeout: float
) -> Answer:
    """Return the whole answer of a replica to a request, which goes to its own port and never to the router."""
    if replica.recorded is not None:
        return replica.recorded.get(
            question_key(kind, payload), Answer(0, error="it was not asked")
        )
    asked = {"model": replica.asked, **payload}
    return host.ask(replica.port, PATHS[kind], asked, timeout)


def question_key(kind: Kind, payload: Mapping[str, Any]) -> str:
    """Return the key of a question among recorded answers."""
    text = json.dumps([kind, payload], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def serving_replica(
    hosts: Sequence[HostPort], model: str, named: Collection[str]
) -> tuple[HostPort, GatedReplica]:
    """Return the first host that serves `model`, of those `named` where some are, and the replica there.

    Raises InputError where none serves it, HostError where no host answers.
    """
    failed: HostError | None = None
    silent = 0
    chosen = [each for each in hosts if not named or each.name in named]
    for host in chosen:
        try:
            facts = host.observe()
        except HostError as error:
            failed, silent = error, silent + 1
            continue
        slot = facts.serving_slot(model)
        if slot and slot.release and slot.healthy:
            return host, GatedReplica(slot.slot, slot.port, slot.release)
    if failed is not None and silent == len(chosen):
        raise failed
    raise InputError(f"{model} serves on none of these hosts", hint="toolkit status")
