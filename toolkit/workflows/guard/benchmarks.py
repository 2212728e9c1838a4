"""Run the gate `benchmarks`: the same tasks for the new release and the serving one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.gates.guard import Benchmarks, Score
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import GateResult, Verdict
from toolkit.domain.replicas.answers import Answer
from toolkit.errors import InputError, SourceError
from toolkit.planning.guard.benchmarks import GATE, judge
from toolkit.workflows.guard.replicas import GatedReplica, Gating
from toolkit.workflows.tools import Scores

# Seconds that an answer to a question may take.
ANSWER = 600.0


def benchmarks_gate(gating: Gating) -> GateResult | None:
    """Return the verdict on the scores of the new release; None where the guard asks for no benchmarks."""
    benchmarks = gating.guard.benchmarks
    if benchmarks is None:
        return None
    if gating.scorer is None:
        return GateResult(GATE, Verdict.UNKNOWN, "this command runs no benchmarks")
    try:
        scorer = gating.scorer()
        new, old = (
            _scores(gating, benchmarks, scorer, each) if each else None
            for each in (gating.new, gating.rival)
        )
    except (SourceError, InputError) as error:
        return GateResult(GATE, Verdict.UNKNOWN, error.message)
    return judge(benchmarks, new or (), old)


def _scores(
    gating: Gating, benchmarks: Benchmarks, scorer: Scores, replica: GatedReplica
) -> tuple[Score, ...]:
    release = replica.release
    kind = Kind(release.checks[0].kind) if release.checks else Kind.CHAT
    if kind not in (Kind.CHAT, Kind.COMPLETION):
        raise InputError(
            f"benchmarks ask for texts, and {release.title} is a model of kind {kind}",
            hint="take `benchmarks` out of its guard",
        )
    gating.say(f"  benchmarks: asking {replica.name or release.title}")
    ask = partial(_ask, gating.host, replica.port)
    return scorer.scores(benchmarks, replica.asked, ask, gating.say, chat=kind is Kind.CHAT)


def _ask(host: HostPort, port: int, path: str, payload: Mapping[str, Any]) -> Answer:
    return host.ask(port, path, payload, ANSWER)
