"""The requests that a guard sends to the new replica and the former one while traffic goes to both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.golden import GoldenPrompt, Kind
from toolkit.domain.gates.guard import PairedProbe
from toolkit.domain.registry.model import Check
from toolkit.planning.guard.checks import TEXTS, check_payload
from toolkit.planning.guard.kinds import PATHS

# Golden prompts among the probes, and the tokens of such an answer: each pair must be quick.
_MOST, _TOKENS = 8, 64


def golden_probes(
    release: Release, prompts: Iterable[GoldenPrompt], *, same: bool
) -> tuple[PairedProbe, ...]:
    """Return the golden prompts that a guard can judge by one text in a short answer, as probes of `release`.

    With `same` nothing about answers is meant to change.
    """
    return tuple(_golden(release, prompts, same))[:_MOST]


def check_probe(release: Release, check: Check, *, same: bool) -> PairedProbe:
    """Return a check of `release` that asks for no text as a probe."""
    payload = check_payload(release.model, check)
    return PairedProbe(PATHS[Kind(check.kind)], payload, "", same)


def _golden(release: Release, prompts: Iterable[GoldenPrompt], same: bool) -> Iterator[PairedProbe]:
    for prompt in prompts:
        expect = prompt.expect
        texts = [each for each in (expect.exact, *expect.contains) if each]
        short = prompt.payload.get("max_tokens", 0) <= _TOKENS
        if prompt.kind in TEXTS and prompt.tries == 1 and short and len(texts) == 1:
            payload = {"model": release.model, **prompt.payload}
            yield PairedProbe(PATHS[prompt.kind], payload, texts[0].strip(), same)
