"""Run the gates of a guard against a new replica, while the serving one takes all traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.matching.matching import matching
from toolkit.domain.excerpt import brief
from toolkit.domain.gates.guard import Guard
from toolkit.domain.gates.verdict import GateResult, Unsure, Verdict
from toolkit.workflows.guard.files import read_prompts
from toolkit.workflows.guard.measures import health_gate, look, speed_gate
from toolkit.workflows.guard.replicas import GatedReplica, Gating
from toolkit.workflows.guard.shape import shape_gate
from toolkit.workflows.tools import Say, Scores

# Returns None where its guard does not ask for it.
Gate = Callable[[Gating], GateResult | None]
# Characters of a reason.
_REASON = 2000


def run_gates(
    host: HostPort,
    guard: Guard,
    new: GatedReplica,
    old: GatedReplica | None,
    say: Say,
    scorer: Callable[[], Scores] | None = None,
    former: GatedReplica | None = None,
) -> tuple[GateResult, ...]:
    """Return the verdicts of all gates on the release at `new`; `old` is the serving one on the same host.

    `scorer` gives what runs benchmarks (`Tools.scorer`); `former` is the recorded release whose place the new one took.

    The gates after one that failed are not run. Raises InputError where a file of the guard has a fault, HostError
    where the host does not answer.
    """
    if guard.off:
        return ()
    with matching() as fits:
        prompts = read_prompts(guard, fits)
        began = {replica.slot: look(host, replica) for replica in (new, old) if replica}
        gating = Gating(host, guard, new, old, say, fits, prompts, began, scorer, former)
        return tuple(_results(gating))


def refusal(results: Iterable[GateResult], guard: Guard) -> str:
    """Return why a release must not take traffic after these verdicts; nothing where it may."""
    for result in results:
        unsure = result.verdict is Verdict.UNKNOWN and guard.unsure is Unsure.RETURN
        if result.verdict is Verdict.FAILED or unsure:
            words = "did not pass" if result.verdict is Verdict.FAILED else "could not be judged by"
            return f"{words} the gate {result.gate!r}: {result.reason}"
    return ""


def _gates(guard: Guard) -> Iterator[Gate]:
    """Yield the gates in their order, the cheap ones first. Gates that few guards ask for are loaded for them alone."""
    yield shape_gate
    if guard.answers is not None:
        from toolkit.workflows.guard.answers import answers_gate

        yield answers_gate
    yield speed_gate
    yield health_gate
    if guard.benchmarks is not None:
        from toolkit.workflows.guard.benchmarks import benchmarks_gate

        yield benchmarks_gate


def _results(gating: Gating) -> Iterator[GateResult]:
    for gate in _gates(gating.guard):
        result = gate(gating)
        if result is None:
            continue
        result = replace(result, reason=_printable(result.reason))
        gating.say(
            f"  {result.gate}: {result.verdict}{f': {result.reason}' if result.reason else ''}"
        )
        yield result
        if result.verdict is Verdict.FAILED:
            return


def _printable(text: str) -> str:
    """Return a reason without control characters: it quotes answers of a model and an engine."""
    return "".join(
        each if each.isprintable() else f"\\x{ord(each):02x}" for each in brief(text, _REASON)
    )
