"""What hosts and their engines say: facts, keys, devices, answers, metrics and logs."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz.of_pins import ABLE
from tests.fuzz.parser import REPOSITORY, A, hostside, packed, words, written
from tests.planning.facts import release
from toolkit.adapters.hosts.channel import give
from toolkit.adapters.hosts.dialog import parse_answer
from toolkit.adapters.hosts.facts import facts_from_json, owner_from_json, understood
from toolkit.adapters.hosts.ssh_faults import host_error
from toolkit.adapters.hosts.strand import Strand
from toolkit.config.golden.reading import read_golden
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.gates.kind import Kind
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.outside import checked
from toolkit.domain.replicas.answers import Answer
from toolkit.planning.engines.vllm_log import decisive_line, read_actual
from toolkit.planning.guard.kinds import said_in
from toolkit.planning.guard.shape import keys_of, wrong_in

with hostside():
    accelerators = import_module("accelerators")
    completion = import_module("completion")
    pairs = import_module("pairs")


FACTS = {
    "observed_at": 1000.0, "init": "systemd", "os": "Debian 12", "python": "3.11", "memory": 2**34,
    "memory_available": 2**33, "disk_free": 10**11, "disk_total": 10**12,
    "files_free": 10**6, "noexec": False, "read_only": False, "tmp_free": 10**9,
    "os_id": "debian", "os_version": "12",
    "kernel": "6.1", "architecture": "x86_64", "confines": True, "accelerators": ["nvidia"], "driver_fault": "",
    "cpus": 4, "engines": ["e"], "snapshots": [A], "converged": A, "missing_libraries": [],
    "devices": [{"index": 0, "name": "H100", "memory": 2**36, "memory_free": 2**35, "temperature": None}],
    "slots": [{"model": "tiny", "slot": "blue", "port": 8100, "release": ABLE, "devices": [0],
               "process": "running", "healthy": True, "weight": 100, "sessions": 1, "memory": 2**30,
               "started_at": 5.0, "drift": []}],
    "router": {"running": True, "bind": "127.0.0.1:8080", "version": "2.6", "workers": 1, "drift": [], "tls": False,
               "keys": 1, "locked": True, "ring_digest": A, "silent": False, "crowd": "full"},
    "routes": {"serial": 1, "routes": []}, "used_ports": [22],
    "guards": [{"order": {"rollout": "r1", "model": "tiny", "slot": "green", "former": "blue", "release": 2,
                          "version": "v2", "phase": "bake", "seconds": 60.0, "since": 990.0, "share": 0},
                "wish": "", "must_go": True, "looked_at": 999.5, "watched": 9.0, "requests": 180, "probes": 9,
                "figures": [{"name": "failed", "new": 5.5, "old": None, "unit": "%"}],
                "verdict": {"gate": "bake", "verdict": "failed", "reason": "it hangs", "figures": []},
                "withdrawn": "it hangs", "withdrawn_at": 999.0}],
    "opened": None, "left_to_guards": [],
    "lock": {"held": True, "owner": {"actor": "a@b", "command": "deploy", "pid": 5, "since": 1000.5}},
}  # fmt: skip


def complete(facts: dict[str, Any]) -> dict[str, Any]:
    """Return `facts` with the fields that the program on hosts has beside them."""
    with TemporaryDirectory() as root:
        slot = Path(root) / "slots" / "tiny-blue"
        slot.mkdir(parents=True)
        (slot / "manifest.json").write_text(
            json.dumps(
                {"model": "tiny", "slot": "blue", "port": 1, "release": release(1).as_json()}
            )
        )
        asked = [sys.executable, "-I", str(REPOSITORY / "toolkit" / "hostside"), "observe"]
        pipe = subprocess.PIPE
        # It ends with its standard input, so that stays open until it has answered.
        with subprocess.Popen(asked, stdin=pipe, stdout=pipe) as program:
            assert program.stdin and program.stdout
            program.stdin.write(packed({"root": root, "label": ""}) + b"\n")
            program.stdin.flush()
            found = json.loads(program.stdout.readline())["result"]
    return {
        **found,
        **facts,
        "slots": [{**found["slots"][0], **facts["slots"][0]}],
        "router": {**found["router"], **facts["router"]},
    }


KEYS = {
    "keys": [{"name": "a", "digest": A, "created": 1.0, "per_minute": 5, "revoked": 0.0}],
    "locked": 1,
    "opened": 0,
}
SMI = (
    b"0, NVIDIA H100 80GB HBM3, 81559, 81079, 580.159.04, 39, 0, No, No, 480\n",
    b"0, NVIDIA H200, 143771, 143000, 580.95.05, [N/A], [N/A], No, Yes, 628\n1, A, 1, 1, 5, 1, 1, 1, 1, 1\n",
    b"No devices were found\n",
)  # fmt: skip
HOST = Host("gpu1", "ssh", "10.0.0.1", root="/var/lib/toolkit")
METRICS = (
    b'vllm:num_requests_running{model_name="m",engine="0"} 3.0\nvllm:num_requests_waiting 1e+02\n'
)
ANSWER = {
    "choices": [
        {"message": {"content": "hello", "reasoning_content": None}, "finish_reason": "stop"}
    ]
}
PART = {"choices": [{"delta": {"content": "a"}, "finish_reason": None}]}
STREAM = b"data: %s\n\ndata: %s\n\ndata: [DONE]\n\n" % (
    packed(PART),
    packed({"choices": [{"text": "b"}]}),
)
LOG = b"""\
(EngineCore pid=9) INFO 11-22 10:17:27 [core.py:1] Model loading took 14.2 GiB and 3 seconds
INFO 11-22 10:17:27 [a.py:1] GPU KV cache size: 187,232 tokens, Maximum concurrency for 512 tokens per request: 22.86x
Available KV cache memory: 3.5 GiB
Graph capturing finished in 12 secs, took 0.52 GiB
vllm:cache_config_info{block_size="16",num_gpu_blocks="100",kv_cache_size_tokens="1600"} 1.0
"""


def observed(data: bytes) -> Any:
    return asdict(facts_from_json("gpu1", parse_answer(data)["result"]))


def channelled(data: bytes) -> Any:
    """Return what a strand of a channel makes of a line: whether it ended, with which words, and what it reads."""
    strand = Strand(1, lambda _: None, lambda: None)
    give(data, {1: strand})
    code = strand.poll()
    strand.over(0, "")
    return code, strand.words, strand.readline(0).decode("latin-1")


def keys(data: bytes) -> Any:
    with understood("gpu1"):
        return checked(KeyRing.from_json(parse_answer(data)["result"])).as_json()


def owner(data: bytes) -> Any:
    return asdict(owner_from_json(parse_answer(data)["result"]))


def devices(data: bytes) -> Any:
    rows, fault = accelerators.rows_of(words(data), 11)
    return [accelerators._device(row) for row in rows], fault


def golden(data: bytes) -> Any:
    """Read a file of golden prompts; no pattern is matched, which has a process of its own."""
    path = written("x.jsonl" if data.startswith(b"{") else "x.yaml", data)
    return [asdict(each) for each in read_golden(path, lambda _: "")]


def said(data: bytes) -> Any:
    """Read the answers of every kind, and the keys of answers and streams."""
    text = words(data)
    for kind in Kind:
        with suppress(ValueError):
            asdict(said_in(kind, Answer(200, text), {"documents": ["a", "b"]}))
    with suppress(ValueError):
        keys_of(Answer(200, text))
    with suppress(ValueError):
        wrong_in({"model": "m", "documents": ["a"], "max_tokens": 1}, Answer(200, text))
    with suppress(ValueError):
        return sorted(keys_of(Answer(200, events=tuple(text.splitlines()))))
    return []


def load(data: bytes) -> Any:
    names = ["vllm:num_requests_running", "vllm:num_requests_waiting"]
    return completion.load_in(words(data).splitlines(), names)


def counts(data: bytes) -> Any:
    return completion.counts_in(words(data).splitlines(), ["vllm:num_requests_running"])


def tokens(data: bytes) -> Any:
    said = {"body": "", "events": words(data).splitlines(), "first": 0.1, "gaps": [0.1]}
    return pairs._tokens(said), pairs._between(said), pairs._tokens({**said, "body": words(data)})


def log(data: bytes) -> Any:
    lines = words(data).splitlines()
    return [decisive_line(lines), read_actual(lines).as_json()]


def words_of_ssh(data: bytes) -> Any:
    return host_error(HOST, words(data), 255).as_json()


def logs_of_engines() -> tuple[bytes, ...]:
    directory = REPOSITORY / "tests" / "planning" / "engine_logs"
    return (LOG, *(path.read_bytes()[-2000:] for path in sorted(directory.glob("*.log"))))


GOLDEN = (
    b"- {prompt: hi, expect: {contains: a, regex: 'a+', length: {least: 1, most: 9}}, tries: {least: 1, of: 2}}\n",
    b"- kind: rerank\n  prompt: hi\n  documents: [a, b]\n  expect:\n    order: [1, 0]\n",
    packed(
        {
            "messages": [{"role": "user", "content": "hi"}],
            "system": "s",
            "images": ["data:image/png;base64,AAAA"],
            "tools": [{"type": "function", "function": {"name": "w"}}],
            "sampling": {"temperature": 0.5},
            "expect": {"tool_call": {"name": "w", "arguments": {"a": 1}}},
        }
    ),
    packed(
        {
            "prompt": "a",
            "expect": {"json_schema": {"type": "object", "$ref": "#/a"}, "choice": ["a"]},
        }
    ),
)
ANSWERS = (
    packed({"data": [{"embedding": [0.5, -1]}]}),
    packed({"results": [{"index": 0, "relevance_score": 0.5}]}),
    packed(
        {
            "choices": [
                {
                    "message": {
                        "content": None,
                        "tool_calls": [{"function": {"name": "w", "arguments": "{}"}}],
                    }
                }
            ],
            "usage": {"completion_tokens": 3},
        }
    ),
)
SSH = (
    b"ssh: connect to host 10.0.0.1 port 22: Connection refused\r\n",
    b"sudo: a password is required\n",
    b"@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@\nHost key verification failed.\n",
)
DAMAGED = (ValueError,)
