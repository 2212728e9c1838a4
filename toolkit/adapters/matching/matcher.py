"""Match patterns and schemas in a process of its own, which a pattern that runs for ever cannot hold up.

    python3 -I matcher.py SECONDS BYTES      (each line of standard input is a question, each line of output its answer)

A question is {"text", "regex"} or {"text", "json_schema"}; an answer is {"fault": why it does not fit, or empty} or
{"late": true} where SECONDS of the processor did not suffice. The process has at most BYTES of memory.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
from types import FrameType
from typing import Any


class _LateError(BaseException):
    """The time is over. No `except Exception` of a library takes it."""


def main(seconds: float, memory: int) -> None:
    """Answer the questions of standard input until it ends, within `seconds` for each and `memory` bytes for all."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.signal(signal.SIGVTALRM, _late)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line), seconds)) + "\n")
        sys.stdout.flush()


def _answer(question: dict[str, Any], seconds: float) -> dict[str, Any]:
    try:
        # Time of the processor, so that a busy machine makes no pattern late. The machine of regular expressions looks
        # for signals as it goes, and so does Python's own code.
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            return {"fault": _fault(question)}
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except (_LateError, MemoryError):
        return {"late": True}
    except Exception as error:
        return {"fault": f"{type(error).__name__}: {error}"[:300]}


def _fault(question: dict[str, Any]) -> str:
    if "regex" in question:
        return "" if re.search(question["regex"], question["text"]) else "no match"
    try:
        value = json.loads(question["text"])
    except ValueError as error:
        return f"no JSON: {error}"
    return _schema_fault(question["json_schema"], value)


def _schema_fault(schema: Any, value: Any) -> str:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: a reference to elsewhere is never fetched.
    validator = Draft202012Validator(schema, registry=Registry())
    found = next(iter(validator.iter_errors(value)), None)
    if found is None:
        return ""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found.path)
    return f"{where.lstrip('.') or 'it'}: {found.message}"[:300]


def _late(_: int, __: FrameType | None) -> None:
    raise _LateError


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
