"""No text of a host ends a line that a command shows: one that was taken over could write lines of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from typing import Any

import pytest

from tests.adapters.test_host_lies import ASKING, Liar
from tests.fuzz.of_clients import RECORDS, REQUESTS, SAMPLE
from tests.fuzz.of_hosts import FACTS, KEYS, complete
from tests.fuzz.of_records import ACCESS, HANDED_OUT, HEADS, LEFTOVERS, PERIMETER, SUMS
from tests.fuzz.of_records import TOLD as TOLD_SUMS
from toolkit.adapters.hosts.facts import facts_from_json
from toolkit.adapters.hosts.host import RealHost
from toolkit.errors import HostError

WAITED = {"seconds": 1.0, "reason": "why", "left": 0, "log": ["x"]}
# Good answers to the requests whose answers have texts that commands show within lines of their own.
SHOWN: dict[str, Any] = {
    "observe": {**complete(FACTS), "damaged": ["x"], "changed": ["y"], "unlogged": "z"},
    "perimeter": PERIMETER,
    "wait_ready": {"ready": False, **WAITED},
    "call_in_turn": {"status": 500, "error": "why"},
    "sample": SAMPLE,
    "watch": {"ok": False, **WAITED},
    "probe": {"ok": False, **WAITED},
    "doze": {"ok": False, **WAITED},
    "rouse": {"ok": False, **WAITED},
    "guard_follow": {"gate": "bake", "verdict": "failed", "reason": "it hangs", "figures": []},
    "repair_guards": {"lost": ["m"]},
    "drain": {"drained": False, **WAITED},
    "hash_files": {"files": {"a": {"size": 1, "sha256": "0" * 64}}, "faults": {"b": "why"}},
    "check_snapshot": {"faults": ["why"]},
    "keep_compiled": {"name": "", "bytes": 1, "why": "why"},
    "check_engine": {"sealed": True, "files": 1, "bytes": 1, "faults": ["why"]},
    "leftovers": LEFTOVERS,
    "remove_leftovers": {"freed": 1, "kept": {"a": "why"}},
    "audit_heads": HEADS,
    "answered": ACCESS,
    "read_requests": REQUESTS,
    "find_use": RECORDS,
    "use": HANDED_OUT,
    "sums_of_use": {"own": {"ledger": "b" * 16, **SUMS}, "elsewhere": TOLD_SUMS},
    "keys": {"ring": KEYS, "lagging": 0},
}
# A line of the toolkit's own, an order to the terminal, and marks of Unicode for directions and lines.
TWO_LINES = "a\nerror: gpu2 is lost\x1b[2J\u200f\u2028"
# Texts of several lines, texts for a request alone, and the path by which a leftover is removed.
_WHOLE = {"release", "routes", "settings", "opened", "left_to_guards", "order", "path"}


def spoiled(value: Any) -> Iterator[Any]:
    """Yield the value with one of its texts or names replaced by `TWO_LINES`, for each of them."""
    if isinstance(value, str):
        yield TWO_LINES
    for key, each in value.items() if isinstance(value, dict) else ():
        if key not in _WHOLE:
            yield {**{name: one for name, one in value.items() if name != key}, TWO_LINES: each}
            yield from ({**value, key: odd} for odd in spoiled(each))
    for index, each in enumerate(value) if isinstance(value, list) else ():
        yield from ([*value[:index], odd, *value[index + 1 :]] for odd in spoiled(each))


def shown_in(value: Any) -> Iterator[str]:
    """Yield the texts in a value, names of mappings included."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, str):
        yield value
    for each in (*value, *value.values()) if isinstance(value, dict) else ():
        yield from shown_in(each)
    for each in value if isinstance(value, list | tuple) else ():
        yield from shown_in(each)


@pytest.mark.parametrize("name", SHOWN)
def test_no_text_of_a_host_has_a_line_of_its_own(name: str) -> None:
    ASKING[name](RealHost(Liar(deepcopy(SHOWN[name]))))
    answers, refused = list(spoiled(SHOWN[name])), 0
    for answer in answers:
        try:
            found = ASKING[name](RealHost(Liar(deepcopy(answer))))
        except HostError:
            refused += 1
            continue
        assert all(each.isprintable() for each in shown_in(found)), answer
    assert refused < len(answers)


def test_no_error_of_a_host_looks_like_one_of_the_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Liar({})
    answer = {"error": f"no room\x1b[2J\n{TWO_LINES}", "hint": TWO_LINES}
    monkeypatch.setattr(client, "_answers", lambda *_: nullcontext(iter([answer])))
    with pytest.raises(HostError) as caught:
        client.ask("drain")
    said = caught.value.message.split("\n    ")
    assert said == ["gpu1: drain: no room\\x1b[2J", "a", "error: gpu2 is lost\\x1b[2J\\u200f"]
    assert caught.value.hint.isprintable()


@pytest.mark.parametrize(
    "name", ["model", "version", "source", "revision", "snapshot", "engine", "accelerator"]
)
def test_a_release_whose_name_has_a_second_line_counts_as_damaged(name: str) -> None:
    facts = complete(FACTS)
    (slot,) = facts["slots"]
    assert facts_from_json("gpu1", facts).slots
    odd = {**slot, "release": {**slot["release"], name: TWO_LINES}}
    found = facts_from_json("gpu1", {**facts, "slots": [odd]})
    assert found.slots == ()
    assert found.damaged == ("slots/tiny-blue/manifest.json",)
