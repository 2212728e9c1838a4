"""Draft golden prompts from the answers of the serving release. Only this keeps prompts and answers, where asked to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.matching.matching import matching
from toolkit.config.golden.draft import SHOWN, draft_text
from toolkit.config.golden.reading import golden_in
from toolkit.config.text_file import check_characters
from toolkit.domain.bounds import GOLDEN
from toolkit.domain.gates.golden import Fits, GoldenPrompt
from toolkit.errors import HostError, InputError
from toolkit.planning.guard.drafts import bounded, drafts
from toolkit.planning.guard.kinds import Said, fault_of_answer, said_in
from toolkit.workflows.guard.replicas import GatedReplica, ask
from toolkit.workflows.tools import Say

# Ask each prompt so many times: a draft expects only the properties that all of its answers share.
_TIMES = 3
# Before the first question, these placeholders show whether the file will be small enough. No draft with the widest
# expectations has more values, and an answer of escapes alone takes six characters for each of its own.
_MOST = 10**6
_ANSWER = "\x80" * SHOWN
_ANOTHER = "name another file: --output golden/new.yaml"
_PLACE = re.compile(r"^(:[0-9]+){0,2}: ")

# A prompt as the operator gives it, with what is expected, and the answer that is shown.
Drafted = tuple[Mapping[str, Any], str]


def record_golden(
    host: HostPort,
    replica: GatedReplica,
    prompts: Sequence[Mapping[str, Any]],
    output: Path,
    say: Say,
) -> int:
    """Ask `replica` each prompt and write `output`, readable by its owner alone; return how many.

    A prompt that is given twice is asked once. Raises InputError where `output` exists or a prompt is none, before
    anything is asked; HostError where the release does not answer one.
    """
    _new(output)
    title = replica.release.title
    with matching() as fits:
        file = _File(title, output, fits)
        asked = _asked(file, prompts)
        say(f"prompts and answers of {title} are written to {output}, in plain text")
        if again := len(prompts) - len(asked):
            say(f"{again} of {len(prompts)} prompts stand there twice and are asked once")
        narrow, wide = [], []
        for count, (number, prompt) in enumerate(asked, start=1):
            said = [_said(host, replica, number, prompt) for _ in range(_TIMES)]
            known = _readable(file, prompts[number - 1], said)
            if not known:
                raise _unasked(host, title, number, "called a tool that the prompt does not have")
            narrow.append(known[0])
            wide.append(known[-1])
            if count % 20 == 0:
                say(f"{count} of {len(asked)} prompts asked")
        try:
            text = file.text(narrow)
        except InputError:
            # The narrow expectations of all prompts together may have too many values.
            text = file.text(wide)
    _write(output, text)
    return len(asked)


@dataclass(frozen=True, slots=True)
class _File:
    """The file that is drafted from the answers of the release `title`."""

    title: str
    output: Path
    fits: Fits

    def read(self, found: Iterable[Drafted]) -> tuple[GoldenPrompt, ...]:
        """Return the prompts of the file as gates read them; raises InputError where they refuse it."""
        text = draft_text(self.title, found)
        if len(text.encode("utf-8")) > GOLDEN:
            raise InputError(
                f"{self.output}: larger than {GOLDEN // 2**20} MiB", hint="give fewer prompts"
            )
        check_characters(self.output, text)
        return golden_in(self.output, text, self.fits)

    def text(self, found: Sequence[Drafted]) -> str:
        """Return the text of the file; raises InputError where gates refuse it."""
        self.read(found)
        return draft_text(self.title, found)


def _new(output: Path) -> None:
    parent = output.parent
    for fault, why in (
        (output.exists(), "exists already"),
        (not parent.is_dir(), f"has no directory {parent}"),
        (not os.access(parent, os.W_OK), f"cannot be written to {parent}"),
        (output.suffix == ".jsonl", "is to be JSONL, and a draft is YAML"),
        # Its owner alone may read the answers, and gates read them from a file.
        (str(output) == "-", "is no file"),
    ):
        if fault:
            raise InputError(f"{output} {why}", hint=_ANOTHER)


def _asked(file: _File, prompts: Sequence[Mapping[str, Any]]) -> list[tuple[int, GoldenPrompt]]:
    """Return the prompts as gates ask them, each once, with their numbers from 1.

    Raises InputError where one is none, or all of them make no file.
    """
    # Each prompt gets bounds of its own, because two prompts with the same expectation would be refused.
    drafted = [
        ({**prompt, "expect": bounded(1, _MOST + number)}, _ANSWER)
        for number, prompt in enumerate(prompts, start=1)
    ]
    try:
        found = file.read(drafted)
    except InputError as error:
        for number, each in enumerate(drafted, start=1):
            _read_alone(file, number, each)
        raise _without_place(file, error, "the prompts make no file of golden prompts") from None
    first: dict[str, tuple[int, GoldenPrompt]] = {}
    for number, prompt in enumerate(found, start=1):
        first.setdefault(repr(prompt.payload), (number, prompt))
    return list(first.values())


def _read_alone(file: _File, number: int, drafted: Drafted) -> None:
    try:
        file.read([drafted])
    except InputError as error:
        raise _without_place(file, error, f"prompt {number}") from None


def _without_place(file: _File, error: InputError, before: str) -> InputError:
    """Return the fault of a file that nobody has seen, without its line and column."""
    fault = error.message.removeprefix(str(file.output))
    return InputError(f"{before}: {_PLACE.sub('', fault, count=1)}", hint=error.hint)


def _readable(file: _File, prompt: Mapping[str, Any], said: Sequence[Said]) -> list[Drafted]:
    """Return the prompt with each draft that a file can have, the narrowest first."""
    found = []
    for expect in drafts(said):
        drafted: Drafted = ({**prompt, "expect": expect}, said[0].text.strip())
        try:
            file.read([drafted])
        except InputError:
            continue
        found.append(drafted)
    return found


def _said(host: HostPort, replica: GatedReplica, number: int, prompt: GoldenPrompt) -> Said:
    answer = ask(host, replica, prompt.kind, prompt.payload, prompt.timeout)
    try:
        if fault := fault_of_answer(answer):
            raise ValueError(fault)
        said = said_in(prompt.kind, answer, prompt.payload)
        if not (said.text.strip() or said.tool_calls or said.refusal):
            raise ValueError("answered nothing")
    except ValueError as error:
        raise _unasked(host, replica.release.title, number, str(error)) from None
    return said


def _unasked(host: HostPort, title: str, number: int, why: str) -> HostError:
    return HostError(
        f"{host.name}: asked prompt {number}, {title} {why}",
        hint="take that prompt out; nothing was written",
    )


def _write(output: Path, text: str) -> None:
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            output.unlink()
            raise
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}", hint=_ANOTHER) from None
