"""What clients send and are told: questions of a person, requests to a mirror, logged requests and their use."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

from tests.fuzz.of_pins import STORED
from tests.fuzz.parser import REPOSITORY, A, hostside, importable, packed, words
from toolkit.adapters.hosts.dialog import parse_answer
from toolkit.adapters.hosts.facts import understood
from toolkit.adapters.hosts.requests import part_from_json, records_from_json
from toolkit.adapters.mirror.app import _named_paths
from toolkit.adapters.mirror.file import requested_range
from toolkit.adapters.mirror.listing import listing
from toolkit.adapters.store.manifest import StoredSnapshot, parse_manifest
from toolkit.domain.hosts.load import HostSample
from toolkit.domain.outside import parse_mapping
from toolkit.errors import ToolkitError
from toolkit.planning.upkeep.question import ModelQuestion, kind_told, piece_of, refusal

with hostside():
    access_log = import_module("access_log")
    request_log = import_module("request_log")
    tally_log = import_module("tally_log")
with importable(REPOSITORY / "playbooks/roles/replica/files"):
    anthropic = import_module("toolkit_recorder.anthropic")
    counting = import_module("toolkit_recorder.counting")


def heard(data: bytes) -> Any:
    """Read what a router says of a model, and an answer or a refusal of it."""
    text, question = words(data), ModelQuestion("tiny", "hello")
    refused = [str(refusal(question, status, text)) for status in (400, 401, 404, 503, 500)]
    kind = str(kind_told(parse_mapping(data, 10**6))) if data.startswith(b"{") else ""
    return [refused, kind, asdict(piece_of(text))]


def asked(data: bytes) -> Any:
    """Read the parts of a request to a mirror: names of files, as JSON and as a form, a range, a query."""
    text = words(data)
    ranged = {"range": text.replace("\n", " ")}
    return [
        [asyncio.run(_paths(data, kind)) for kind in (b"application/json", b"")],
        str(requested_range(ranged, 100, "x")),
        listing([SERVED], QueryParams(text)),
    ]


async def _paths(data: bytes, kind: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    return await _named_paths(
        Request({"type": "http", "headers": [(b"content-type", kind)]}, receive)
    )


def _served() -> StoredSnapshot:
    found = parse_manifest(packed(STORED), Path("/store"))
    assert found
    return found


SERVED = _served()


def logged(data: bytes) -> Any:
    """Read a line of a router's log, as a host and as an ops machine does."""
    line = words(data)
    found = request_log._request(line)
    counted = tally_log.tallied([line], 1.8e9)
    known = {**access_log._parsed(line)}
    if found is None:
        return [counted, sorted(known)]
    answer = {"requests": [found], "place": {}, "more": False, "unlogged": ""}
    with understood("gpu1"):
        return [counted, sorted(known), asdict(part_from_json("gpu1", answer))]


def requested(data: bytes) -> Any:
    answer = parse_answer(data)["result"]
    with understood("gpu1"):
        return asdict(part_from_json("gpu1", answer))


def used(data: bytes) -> Any:
    answer = parse_answer(data)["result"]
    with understood("gpu1"):
        return [asdict(each) for each in records_from_json(answer)]


def sampled(data: bytes) -> Any:
    answer = parse_answer(data)["result"]
    with understood("gpu1"):
        return asdict(HostSample.from_json(answer))


def stated(data: bytes) -> Any:
    """Read the end of an engine's answer, as the recorder in its process does."""
    objects = counting.last_objects([data])
    usage = counting.usage_of(objects)
    end = counting.ended(200, left=False, whole=True, raised=False, objects=objects)
    error = anthropic._error(data)
    return [
        [*counting.stated(usage), counting.audio_of(usage)],
        [end, counting.at_its_end([data]), counting.may_say_failed([data]), error is None],
    ]


PIECE = {
    "choices": [{"delta": {"content": "a", "reasoning": "b"}, "finish_reason": "stop"}],
    "usage": {"completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}},
}
REFUSAL = {"error": {"message": "no such model", "code": "model_not_found"}, "kind": "chat/x"}
DURATION = {"usage": {"type": "duration", "seconds": 3}, "type": "response.completed"}
FILES = {"paths": ["a.json", "b"]}
QUERIES = (
    b"paths=a.json&paths=b",
    b"bytes=0-9",
    b"bytes=-5",
    b"search=tiny&filter=mit&limit=5&expand[]=sha&full=true&sort=createdAt",
)
LINE = {
    "at": "27/Nov/2026:02:00:00 +0000", "client": "10.0.0.9", "method": "POST", "path": "/v1/completions",
    "key": "ann", "model": "tiny", "version": "v1", "release": 3, "slot": "blue", "status": 200,
    "ms": {"request": 1, "connect": 0, "first_byte": 5, "total": 9}, "bytes": 100, "retries": "0", "end": "CD",
    "request_id": "r1", "reason": "-", "left_out": 0,
}  # fmt: skip
REQUESTS = {
    "requests": [{
        "at": 1800000000, "client": "10.0.0.9", "method": "POST", "path": "/v1/completions", "key": "ann",
        "model": "tiny", "version": "v1", "slot": "blue", "request_id": "r1", "end": "--", "release": 3,
        "status": 200, "reason": "-", "in": 3, "out": None, "request": 1, "connect": 0, "first_byte": 5, "total": 9,
        "left_out": 0,
    }],
    "place": {"kind": "file", "inode": 1, "offset": 2}, "more": False, "unlogged": "",
}  # fmt: skip
RECORDS = {
    "records": [
        {
            "at": 1.8e9,
            "seconds": 0.5,
            "model": "m",
            "version": "1",
            "release": 3,
            "in": 3,
            "out": 2,
            "id": A,
        }
    ]
}
SAMPLE = {
    "at": 1.8e9, "clock": 5.5, "boot": "b", "router": True,
    "targets": [{"worker": 1, "model": "m", "slot": "blue", "answered": 1, "failed": 0, "refused": 0, "open": 1}],
    "replicas": [{"model": "m", "slot": "blue", "process": "p", "answers": True, "running": 1.0,
                  "first": {"buckets": [[0.1, 3.0]], "total": 0.5, "count": 3.0}}],
}  # fmt: skip
ERRORS = (ValueError, ToolkitError)
