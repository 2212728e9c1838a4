"""Equal words of several hosts, said once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_MARK = "\0"


@dataclass(frozen=True, slots=True)
class HostWords:
    """Words, and the hosts that they are about."""

    hosts: tuple[str, ...]
    words: str


def listed(hosts: Sequence[str]) -> str:
    """Return the names as words."""
    return ", ".join(hosts)


def said_once(
    words: Mapping[str, str], together: Callable[[Sequence[str]], str] = listed
) -> tuple[HostWords, ...]:
    """Return the words of all hosts, by host's name; words that differ in the host's own name alone are said once.

    There, `together` stands for that name; it gets all the names. The order is that in which the words come first.
    """
    found: dict[str, list[str]] = {}
    for name, said in words.items():
        found.setdefault(nameless(said, name), []).append(name)
    return tuple(
        HostWords(
            tuple(names), said.replace(_MARK, together(names) if len(names) > 1 else names[0])
        )
        for said, names in found.items()
    )


def nameless(words: str, host: str, mark: str = _MARK) -> str:
    """Return words with a mark for the host's name, not where it is a part of another name."""
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-]|\.\w)", mark, words)
