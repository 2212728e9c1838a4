"""Draft golden prompts from the answers of the serving release. Only this keeps prompts and answers, where asked to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.matching.matching import matching
from toolkit.config.golden.draft import draft_text
from toolkit.config.golden.reading import read_golden
from toolkit.domain.gates.golden import Kind
from toolkit.errors import HostError, InputError
from toolkit.planning.guard.drafts import drafted
from toolkit.planning.guard.kinds import Said, fault_of_answer, said_in
from toolkit.workflows.guard.replicas import Place, ask
from toolkit.workflows.tools import Say

# The same prompt so often: what differs between these answers is not expected.
_TIMES = 3
_TOKENS, _SECONDS = 256, 60.0


def record_golden(
    host: HostPort, place: Place, prompts: Sequence[Mapping[str, Any]], output: Path, say: Say
) -> int:
    """Ask the release at `place` each prompt and write `output`, readable by its owner alone; return how many.

    Raises InputError where `output` exists or a prompt is none, HostError where the release does not answer one.
    """
    if output.exists() or not output.parent.is_dir():
        why = "exists already" if output.exists() else f"has no directory {output.parent}"
        raise InputError(f"{output} {why}", hint="name another file: --output golden/new.yaml")
    found = []
    for number, prompt in enumerate(prompts, start=1):
        said = [_said(host, place, number, prompt) for _ in range(_TIMES)]
        found.append(({**prompt, "expect": drafted(said)}, said[0].text.strip()))
        if number % 20 == 0:
            say(f"{number} of {len(prompts)} prompts asked")
    with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(draft_text(place.release.title, found))
    with matching() as fits:
        return len(read_golden(output, fits))


def _said(host: HostPort, place: Place, number: int, prompt: Mapping[str, Any]) -> Said:
    turns = list(prompt.get("messages") or [{"role": "user", "content": prompt.get("prompt")}])
    if system := prompt.get("system"):
        turns = [{"role": "system", "content": system}, *turns]
    payload = {
        "messages": turns,
        "max_tokens": prompt.get("max_tokens", _TOKENS),
        "temperature": 0,
        **({"tools": prompt["tools"]} if "tools" in prompt else {}),
        **(prompt.get("sampling") or {}),
    }
    answer = ask(host, place, Kind.CHAT, payload, _SECONDS)
    try:
        if fault := fault_of_answer(answer):
            raise ValueError(fault)
        said = said_in(Kind.CHAT, answer)
        if not (said.text.strip() or said.tool_calls or said.refusal):
            raise ValueError("answered nothing")
    except ValueError as error:
        raise HostError(
            f"{host.name}: asked prompt {number}, {place.release.title} {error}",
            hint="take that prompt out; nothing was written",
        ) from None
    return said
