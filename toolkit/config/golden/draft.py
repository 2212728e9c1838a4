"""Prompts without expectations as an operator gives them, and the file of golden prompts that is made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from toolkit.config.yaml_dump import dump_yaml
from toolkit.config.yaml_text import MAX_LINE
from toolkit.domain.bounds import GOLDEN, GOLDEN_PROMPTS
from toolkit.domain.excerpt import brief, excerpt
from toolkit.domain.outside import parse_mapping
from toolkit.errors import InputError

_FIELDS = ("name", "prompt", "system", "messages", "tools", "sampling", "max_tokens", "timeout")
_HEAD = (
    "# Golden prompts, drafted from the answers of {title}. Read each one: an expectation that is too narrow\n"
    "# fails good versions, one that is too wide passes bad ones.\n"
)
# Characters of an answer that stand above its prompt.
SHOWN = 200
# A line may end at a space behind it, and must not be longer than lines that are read.
_WIDTH = MAX_LINE // 2


def read_requests(name: str, text: str) -> list[dict[str, Any]]:
    """Return the prompts in `text`, one a line: a text, or a JSON object with fields of a golden prompt.

    Raises InputError with `name` and the line.
    """
    if len(text) > GOLDEN:
        raise InputError(f"{name} is larger than {GOLDEN // 2**20} MiB", hint="split the file")
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if not line.lstrip().startswith("{"):
            found.append({"prompt": line.strip()})
            continue
        try:
            data = parse_mapping(line, GOLDEN)
        except ValueError as error:
            place, why = (
                f"{name}:{number}:{getattr(error, 'colno', 1)}",
                getattr(error, "fault", error),
            )
            raise InputError(f"{place}: no JSON: {why}", hint="one prompt a line") from None
        unknown = sorted(data.keys() - {*_FIELDS})
        if unknown or not ({"prompt", "messages"} & data.keys()):
            words = (
                f"unknown field {excerpt(unknown[0])!r}"
                if unknown
                else "no `prompt` and no `messages`"
            )
            raise InputError(f"{name}:{number}: {words}", hint=f"known here: {', '.join(_FIELDS)}")
        found.append(data)
    if not found or len(found) > GOLDEN_PROMPTS:
        raise InputError(
            f"{name} has {len(found)} prompts, not 1 to {GOLDEN_PROMPTS}",
            hint="write one prompt a line",
        )
    return found


def draft_text(title: str, prompts: Iterable[tuple[Mapping[str, Any], str]]) -> str:
    """Return the file of golden prompts, each with what the release `title` answered as a comment."""
    parts = [_HEAD.format(title=title)]
    for prompt, answer in prompts:
        text = dump_yaml([dict(prompt)], indented=False, width=_WIDTH)
        # JSON leaves this one control character as it is, and no file may have it.
        shown = json.dumps(brief(answer, SHOWN)).replace("\x7f", "\\u007f")
        parts.append(f"\n# answered: {shown}\n{text}")
    return "".join(parts)
