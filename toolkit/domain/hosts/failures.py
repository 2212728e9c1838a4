"""The failures of several hosts as one error, which names each host once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from toolkit.domain.said_once import nameless
from toolkit.errors import (
    BusyError,
    CalledOffError,
    HostError,
    InputError,
    IntegrityError,
    InterruptionError,
    OutdatedError,
    RefusedError,
    ReleaseFailedError,
    SourceError,
    ToolkitError,
    UnattendedError,
)

# From the most severe to the least: `joined` takes class and exit code of the first that occurs.
_SEVERITY: tuple[type[ToolkitError], ...] = (
    IntegrityError,
    ReleaseFailedError,
    CalledOffError,
    HostError,
    SourceError,
    BusyError,
    UnattendedError,
    RefusedError,
    InputError,
    OutdatedError,
    InterruptionError,
    ToolkitError,
)
# In words for several hosts, this stands for the name of each.
_ANY = "HOST"


def own_words(name: str, message: str) -> str:
    """Return a message about the host `name` without that name before it, for a line that begins with the name."""
    return message.removeprefix(f"{name}: ")


def reasons(errors: Mapping[str, ToolkitError]) -> dict[str, str]:
    """Return the messages of `errors` by host's name, each without that name before it."""
    return {name: own_words(name, error.message) for name, error in errors.items()}


def joined(
    failures: Mapping[str, ToolkitError], *, hint: str, alone: bool = False, more: str = ""
) -> ToolkitError:
    """Return one error for `failures`, by host's name; `more` goes to the end of its message.

    A fault that is the same everywhere keeps its own class, hint and exit code. Different faults are listed,
    each with its own hint; the class is the most severe one's and the hint is `hint`. Faults that differ in the host's
    own name alone are the same. A message that begins with the name of another of the hosts is about that one. With
    `alone` the fleet has one host, and the message does not name it.
    """
    faults: dict[tuple[type[ToolkitError], str, str], list[tuple[str, ToolkitError]]] = {}
    for name, error in failures.items():
        about = _subject(name, error.message, failures)
        words = nameless(own_words(about, error.message), about)
        about_it = faults.setdefault((type(error), words, nameless(error.hint, about)), [])
        if about not in (known for known, _ in about_it):
            about_it.append((about, error))
    told = [_told(hosts) for hosts in faults.values()]
    worst = min(failures.values(), key=_severity)
    if len(told) == 1:
        ((text, hint),) = told
        text = worst.message if alone else text
    else:
        text = "\n  ".join(words + (f"\n    hint: {own}" if own else "") for words, own in told)
    made = type(worst)(text + (f"\n  {more}" if more else ""), hint=hint)
    made.hosts = dict(failures)
    return made


def with_unchecked(failure: ToolkitError, errors: Mapping[str, ToolkitError]) -> ToolkitError:
    """Return `failure` with the hosts that were not checked, by their `errors`: it speaks of the others alone."""
    if not errors:
        return failure
    away = "".join(f"\n  {name}: {own_words(name, each.message)}" for name, each in errors.items())
    made = type(failure)(
        f"{failure.message}\nthese hosts were not checked:{away}", hint=failure.hint
    )
    made.hosts = {**failure.hosts, **errors}
    return made


def _subject(name: str, message: str, hosts: Collection[str]) -> str:
    """Return the host that the message of a failure of `name` is about."""
    first = message.partition(": ")[0]
    return first if first in hosts else name


def _told(hosts: list[tuple[str, ToolkitError]]) -> tuple[str, str]:
    """Return the words of one fault of `hosts`, which begin with their names, and its hint."""
    name, error = hosts[0]
    words = own_words(name, error.message)
    if len(hosts) == 1:
        return words if words.startswith(f"{name} ") else f"{name}: {words}", error.hint
    names = ", ".join(each for each, _ in hosts)
    return f"{names}: {nameless(words, name, _ANY)}", nameless(error.hint, name, _ANY)


def _severity(error: ToolkitError) -> int:
    return next(rank for rank, each in enumerate(_SEVERITY) if isinstance(error, each))
