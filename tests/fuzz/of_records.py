"""Records: the audit log, the use of keys, requests, figures of Prometheus, evidence, notices."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import import_module
from typing import Any

from tests.fuzz.parser import A, B, hostside, words
from toolkit import check_evidence
from toolkit.adapters.hosts.answers import kept_head_of, leftover_of, perimeter_of
from toolkit.adapters.hosts.dialog import parse_answer
from toolkit.adapters.hosts.facts import understood
from toolkit.adapters.hosts.use import chunk_from_json, sums_from_json
from toolkit.adapters.prometheus import parse_series
from toolkit.domain.clients.evidence import Answered
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.outside import checked, parse_json, parse_mapping
from toolkit.domain.quantity import format_age, format_size
from toolkit.domain.trail.audit import next_line, release_digest
from toolkit.domain.trail.notice import Notice
from toolkit.planning.evidence.claim import claim_of
from toolkit.planning.evidence.proof import evidence, evidence_text
from toolkit.planning.upkeep.audit import chosen, entries, examine
from toolkit.planning.upkeep.perimeter import judge as judge_perimeter

with hostside():
    use_hand_out = import_module("use_hand_out")
    use_lines = import_module("use_lines")


def audited(data: bytes) -> Any:
    found = examine(data.split(b"\n"), b"", ())
    commands = chosen(entries(found.lines), since=1.0) + chosen(entries(found.lines), who="ann")
    return [[each.words for each in found.faults], [each.as_json() for each in commands]]


def heads(data: bytes) -> Any:
    answer = parse_answer(data)["result"]
    with understood("gpu1"):
        return [asdict(kept_head_of("gpu1", each)) for each in answer["heads"]]


LINES = (
    {"run": A[:16], "program": "m-blue", "version": "1", "release": 3, "engine": "vllm 0.32.0", "started": 1.5},
    {"n": 1, "at": 1.8e9, "key": "ann", "model": "m", "api": "/v1/completions", "id": "r1", "in": 3, "cached": 1,
     "out": 2, "reasoning": None, "asked": 3, "end": "whole", "seconds": 0.5, "first": 0.1, "audio": 2.0},
    {"counters": {"in": 3, "out": 2}, "running": {"in": 0, "out": 0}, "n": 1, "open": 0, "at": 1.8e9},
)  # fmt: skip


def recorded(data: bytes) -> Any:
    """What the watch keeps of a line of a replica can be handed out."""
    line = use_lines.parsed(data)
    if line is None:
        return None
    found = [
        use_lines.head(line, A[:16], "m-blue"),
        use_lines.record(line),
        use_lines.counters(line),
    ]
    # Also after the disk was set back, where the lines are looked at for their numbers.
    for last in (None, {f"m-blue/{A[:16]}": 7}):
        sums = use_hand_out._Sums(last)
        for each in filter(None, found):
            of_run = {"run": A[:16], "program": "m-blue", "version": "1", "release": 3}
            begin = {"begin": True} if "engine" in each else {}
            sums.add(json.dumps({**each, **of_run, **begin}).encode())
        assert not sums.refused
    return found


HANDED_OUT = {
    "ledger": A[:16], "start": {"file": 0, "offset": 0}, "end": {"file": 1, "offset": 9},
    "rows": [["2026-11-27", "ann", "m", "m", "1", 3, "whole", 1, 3, 1, 2, 0, 0, 0.5]],
    "runs": [{"program": "m-blue", "run": A[:16], "model": "m", "version": "1", "release": 3, "engine": "v",
              "started": 1.5, "first": 1, "last": 1, "records": 1, "missing": 0, "asked": 3, "tokens_out": 2,
              "unknown": 0, "counted": {"asked": 3, "tokens_out": 2, "records_asked": 3, "records_out": 2,
                                        "open": 0, "at": 1.5}}],
    "refused": 0, "before": 0, "more": False,
}  # fmt: skip
SUMS = {"day": "2026-11-27", "month": "2026-11", "keys": {"ann": [1, 2, 3, 4, 5]}}
BESIDE = {"2026-12-01": {"ann": [1, 2]}, "2026-12": {"ann": [3, 4, 5]}}
TOLD = {"ledgers": {"a" * 16: {**SUMS, "beside": BESIDE}}}


def handed_out(data: bytes) -> Any:
    answer = parse_answer(data)["result"]
    with understood("gpu1"):
        return asdict(chunk_from_json("gpu1", answer))


def prometheus(data: bytes) -> Any:
    return [asdict(each) for each in parse_series(parse_mapping(data, 10**6), 7200, 4)]


SERIES = {"resultType": "matrix", "result": [
    {"metric": {"__name__": "a_total", "le": "+Inf"}, "values": [[7200, "3"], [10800, "1e3"], [14400, "NaN"]]},
]}  # fmt: skip


def summed_up(data: bytes) -> Any:
    answer = parse_answer(data)["result"]
    with understood("gpu1"):
        return [asdict(each) for each in sums_from_json(answer)]


ACCESS = {"lines": [{
    "at": "27/Nov/2026:02:00:00 +0000", "model": "m", "version": "a", "release": 1, "slot": "gpu1.blue",
    "path": "/v1/embeddings", "status": 200, "request_id": "r1",
}]}  # fmt: skip


def accessed(data: bytes) -> Any:
    answer = parse_answer(data)["result"]
    with understood("gpu1"):
        found = [Answered.from_line("gpu1", each) for each in answer["lines"]]
        return [asdict(checked(each)) for each in found if each]


PERIMETER = {
    "listeners": [{"protocol": "tcp", "address": "::", "port": 9999, "user": "root", "program": "sshd"}],
    "firewall": True,
    "replicas": [{
        "program": "m-blue", "model": "m", "slot": "blue", "user": "toolkit-m-blue", "fault": "",
        "tries": [{"what": "outside", "to": "192.0.2.1 udp", "outcome": "through"}],
    }],
}  # fmt: skip


def tried(data: bytes) -> Any:
    with understood("gpu1"):
        found = checked(perimeter_of(parse_answer(data)["result"]))
        return judge_perimeter(Host("gpu1"), HostFacts("gpu1", 0.0), found).as_json()


LEFTOVERS = {"leftovers": [
    {"path": "snapshots/.a.partial", "kind": "transfer", "of": "a", "bytes": 5, "age": 60.5, "busy": ""},
]}  # fmt: skip


def left_over(data: bytes) -> Any:
    answer = parse_answer(data)["result"]
    with understood("gpu1"):
        found = [leftover_of(each) for each in answer["leftovers"]]
    return [[each.as_json(), format_age(each.age), format_size(each.size)] for each in found]


def claimed(data: bytes) -> Any:
    return asdict(claim_of("", words(data), "headers"))


def evidenced(data: bytes) -> Any:
    return [
        [kind, check_evidence.plain(text)] for kind, text in check_evidence.check(data, None).lines
    ]


def evidence_file() -> bytes:
    """Return evidence with all of its parts, of a release that a log names."""
    release = {"model": "m", "version": "a", "number": 1, "snapshot": "0" * 64, "adapters": []}
    digest = release_digest(release)
    host = {
        "host": "gpu1", "changed_files": ["x was changed"], "snapshots": {"0" * 64: [["w", 1, A, ""]]},
        "slots": [{"slot": "blue", "process": "running", "release_digest": digest, "differs": []}],
        "engine": {"id": "e", "compared": False, "differs": []},
    }  # fmt: skip
    content = {
        "release": release, "release_digest": digest, "hosts": [host],
        "answer": {"request_id": "r", "version": "a", "release": 1, "slot": "blue"},
        "logged": {"host": "gpu1", "at": "now", "version": "a", "release": 1, "slot": "blue", "request_id": "r"},
        "licence": {"allowed": True, "reason": "mit is allowed", "registry": A},
        "gates": [{"gate": "bake", "host": "gpu1", "verdict": "passed", "figures": []}],
    }  # fmt: skip
    first = next_line(
        None, {"event": "begin", "release_digests": {"m@a #1": digest}, "registry": A}
    )
    plan = check_evidence.digest_of(content)
    last = next_line(first, {"event": "begin", "command": "prove", "plan": plan})
    return evidence_text(evidence(content, (first, last))).encode()


def noticed(data: bytes) -> Any:
    found = Notice.from_json(parse_json(data, 10**6))
    return [found.title, found.text, found.as_json()]


GENESIS = next_line(None, {"event": "genesis", "log": A[:32]})
BEGUN = next_line(
    GENESIS,
    {"event": "begin", "id": "x", "at": 1.5, "who": {"user": "ann"}, "words": ["a"], "releases": ["b"], "plan": A},
)  # fmt: skip
ENDED = next_line(
    BEGUN,
    {"event": "end", "id": "x", "outcome": "done", "hosts": {"a": {"outcome": "live"}}, "error": {"kind": "host"},
     "gates": [{"host": "a", "gate": "shape", "verdict": "passed", "figures": []}], "seconds": 1.5},
)  # fmt: skip
AUDIT = "".join(each.text for each in (GENESIS, BEGUN, ENDED)).encode()
HEADS = {
    "heads": [{"log": A[:32], "machine": "ops:/home/ops", "sequence": 1, "digest": B, "at": 1.5}]
}
NOTICE = Notice(
    "x",
    1.5,
    "upgrade",
    "done",
    "tiny",
    ("tiny@v1 #1",),
    hosts={"a": "live"},
    gates=(("a", "b", "c"),),
).as_json()
