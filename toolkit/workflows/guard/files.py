"""The files that a guard names, read before anything changes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InputError

if TYPE_CHECKING:
    from toolkit.domain.files.capabilities import Capabilities
    from toolkit.domain.gates.golden import Fits, GoldenPrompt
    from toolkit.domain.gates.guard import Guard


def check_files(guard: Guard) -> tuple[GoldenPrompt, ...]:
    """Read all files of a guard, and return its golden prompts.

    Raises InputError with file and line where one is missing or has a fault, or where all prompts of it may be lost.
    """
    if guard.off:
        return ()
    prompts, answers = prompts_of(guard), guard.answers
    if answers and not answers.at_least and answers.lose_at_most >= len(prompts):
        raise InputError(
            f"{answers.place}: {answers.path} has {len(prompts)} golden prompts, and `lose_at_most: "
            f"{answers.lose_at_most}` lets a version lose all of them",
            hint="lower `lose_at_most`, or ask for a share with `at_least`",
        )
    if guard.benchmarks is not None:
        for path in guard.benchmarks.paths:
            if not Path(path).is_file():
                raise InputError(
                    f"{guard.benchmarks.place}: no task file {path}",
                    hint="write it, or take it out of `benchmarks`",
                )
    return prompts


def require_askable(prompts: Iterable[GoldenPrompt], able: Capabilities | None) -> None:
    """Raise InputError with file and line where a model cannot be asked one of the prompts; None: nobody knows."""
    from toolkit.planning.guard.askable import unaskable

    if able is None:
        return
    for prompt in prompts:
        why, hint = unaskable(prompt, able)
        if why:
            raise InputError(f"{prompt.place}: {why}", hint=hint)


def prompts_of(guard: Guard) -> tuple[GoldenPrompt, ...]:
    """Return the golden prompts of a guard, like `read_prompts`, where nothing else is to be matched."""
    if guard.answers is None or guard.off:
        return ()
    from toolkit.adapters.matching.matching import matching

    with matching() as fits:
        return read_prompts(guard, fits)


def passed_prompts(guard: Guard, passed: frozenset[str]) -> tuple[GoldenPrompt, ...]:
    """Return the golden prompts of a guard that have one of the names `passed`."""
    return tuple(each for each in prompts_of(guard) if each.name in passed) if passed else ()


def read_prompts(guard: Guard, fits: Fits) -> tuple[GoldenPrompt, ...]:
    """Return the golden prompts of a guard, none where it has none; raises InputError like `check_files`."""
    if guard.answers is None or guard.off:
        return ()
    # A deployment without golden prompts does not load their schema.
    from toolkit.config.golden.reading import read_golden

    path = Path(guard.answers.path)
    if not path.exists():
        raise InputError(
            f"{guard.answers.place}: no file {path}",
            hint="write it, or take `answers` out of the guard",
        )
    return read_golden(path, fits)
