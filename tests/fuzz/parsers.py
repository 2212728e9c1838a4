"""Every parser of bytes from outside, with good inputs for it and the errors that it may raise.

The registry is here too: a bundle brings one.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from tests.planning import fit_models
from tests.planning.facts import release, version
from tests.planning.test_bundle import WHOLE as BUNDLE
from toolkit import check_evidence
from toolkit.adapters.engines.wheel import read_archive
from toolkit.adapters.hosts.answers import kept_head_of, perimeter_of
from toolkit.adapters.hosts.dialog import parse_answer
from toolkit.adapters.hosts.facts import facts_from_json, owner_from_json, understood
from toolkit.adapters.hosts.ssh_faults import host_error
from toolkit.adapters.hosts.use import chunk_from_json, sums_from_json
from toolkit.adapters.hub.answers import parse_commits, parse_listing, parse_repo_info
from toolkit.adapters.hub.transfer import _continues_at
from toolkit.adapters.hub.translate import retry_after
from toolkit.adapters.prometheus import parse_series
from toolkit.adapters.sources.model_files import _config
from toolkit.adapters.store.manifest import parse_manifest as parse_stored
from toolkit.config.costs.reading import parse_costs
from toolkit.config.golden.reading import read_golden
from toolkit.config.registry.lock_file import parse_lock
from toolkit.config.registry.reading import parse_registry
from toolkit.config.schedule import parse_schedule
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.clients.evidence import Answered
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.engines.fit import ModelFiles
from toolkit.domain.engines.requirements import parse_requirements
from toolkit.domain.files.capabilities import Capabilities, ModelFacts
from toolkit.domain.files.tensors import PREFIX, header_length, parse_header
from toolkit.domain.files.weight_files import parse_index
from toolkit.domain.gates.golden import Kind
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.outside import checked, parse_json, parse_mapping
from toolkit.domain.registry.model import Adapter, HubSource, Lora
from toolkit.domain.replicas.probe import Answer
from toolkit.domain.trail.audit import next_line, release_digest
from toolkit.domain.trail.notice import Notice
from toolkit.errors import ToolkitError
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.engines.vllm_check import missing_names
from toolkit.planning.engines.vllm_log import decisive_line, read_actual
from toolkit.planning.evidence.claim import claim_of
from toolkit.planning.evidence.proof import evidence, evidence_text
from toolkit.planning.fit.predict import Place, predict
from toolkit.planning.guard.kinds import said_in
from toolkit.planning.guard.shape import keys_of
from toolkit.planning.release.adapter_files import adapter_fault
from toolkit.planning.release.model_facts import read_facts
from toolkit.planning.upkeep.audit import chosen, entries, examine
from toolkit.planning.upkeep.bundle import manifest_text, parse_manifest
from toolkit.planning.upkeep.perimeter import judge as judge_perimeter

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def hostside() -> Iterator[None]:
    """Let the modules of the program on hosts import each other by bare names."""
    sys.path.insert(0, str(REPOSITORY / "toolkit" / "hostside"))
    try:
        yield
    finally:
        sys.path.pop(0)


with hostside():
    accelerators, completion = import_module("accelerators"), import_module("completion")
    pairs = import_module("pairs")
    use_hand_out, use_lines = import_module("use_hand_out"), import_module("use_lines")
    use_sums = import_module("use_sums")

A, B = "a" * 64, "b" * 64
SHA1 = "c" * 40


@dataclass(frozen=True)
class Parser:
    """`run` takes bytes; it returns a value that can be printed as JSON, or raises one of `errors`."""

    name: str
    run: Callable[[bytes], Any]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = (ToolkitError,)
    # In CI such a parser gets a tenth of the inputs.
    slow: bool = False


def packed(value: Any) -> bytes:
    return json.dumps(value).encode()


def plain(value: Any) -> Any:
    """Return the value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value


def words(data: bytes) -> str:
    return data.decode(errors="replace")


# --- models


def weights(data: bytes) -> Any:
    end = PREFIX + header_length(data)
    return [asdict(each) for each in parse_header(data[PREFIX:end], len(data))]


def safetensors(entries: dict[str, Any], size: int) -> bytes:
    header = packed(entries)
    return struct.pack("<Q", len(header)) + header + bytes(size)


def told(data: bytes) -> Any:
    """Read the same bytes as each small file of a model."""
    paths = ("config.json", "tokenizer_config.json", "modules.json", "chat_template.jinja")
    found = read_facts(paths, dict.fromkeys(paths, data))
    return ModelFacts.from_json(found.as_json()).as_json()


def predicted(data: bytes) -> Any:
    files = ModelFiles(_config(data), ())
    place = Place(Accelerator.CUDA, 80 * 10**9)
    for options in (EngineOptions(), EngineOptions(tensor_parallel=2, pipeline_parallel=2)):
        found = asdict(predict(files, options, place))
    return found


HEADER = {
    "__metadata__": {"format": "pt"},
    "w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
    "model.layers.0.a": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]},
}
CONFIGS = tuple(
    packed(value)
    for name, value in sorted(vars(fit_models).items())
    if name.isupper() and isinstance(value, dict) and "model_type" in value
)
TEMPLATE = b"{% if tools %}<tool_call>{% endif %}{% if add_generation_prompt %}<think>{% endif %}"
TOKENIZER = {"chat_template": [{"name": "tool_use", "template": TEMPLATE.decode()}]}
MODULES = [{"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
INFO = {
    "id": "acme/tiny", "sha": SHA1, "gated": "manual", "tags": ["license:mit", "x"],
    "cardData": {"license": ["other", "mit"], "license_name": "qwen"},
}  # fmt: skip
LISTING = [
    {"type": "directory", "path": "d", "size": 0, "oid": SHA1},
    {"type": "file", "path": "d/a.json", "size": 3, "oid": SHA1},
    {"type": "file", "path": "m.safetensors", "size": 9, "oid": SHA1, "lfs": {"oid": A, "size": 99}},
]  # fmt: skip
INDEX = {
    "metadata": {"total_size": 16},
    "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"},
}


def headers(data: bytes) -> Any:
    names = (b"Content-Range", b"Retry-After", b"RateLimit", b"RateLimit-Policy", b"Link")
    answer = httpx2.Response(206, headers=[(name, data) for name in names])
    return [
        retry_after(answer),
        _continues_at(answer, 100),
        answer.links.get("next", {}).get("url"),
    ]


COMMITS = [{"id": SHA1, "title": "x", "date": "2026-11-01T10:00:00.000Z"}]
HEADERS = (
    b"bytes 100-199/200", b"120", b'"api";r=0;t=55', b'"fixed window";"api";q=500;w=300',
    b'<https://hub.example/api/models/a/b/tree/main?cursor=2>; rel="next"',
)  # fmt: skip

# --- what was pinned and brought over

ABLE = {**release(1).as_json(), "does": Capabilities(tool_parser="hermes", context=96).as_json()}
LOCK = {
    "format": 1,
    "models": {
        "acme/tiny": {
            SHA1: {
                "architectures": ["BertModel"],
                "context": 96,
                "pooling": True,
                "marks": ["<think>"],
            }
        }
    },
    "sources": {"acme/tiny": {SHA1: {"a.json": {"size": 3, "sha256": A, "git_sha1": SHA1}}}},
}
STORED = {
    "format": 1, "source": "acme/tiny", "revision": SHA1, "licence": "mit", "pulled_at": 1.5,
    "files": [{"path": "a.json", "size": 3, "sha256": A, "git_sha1": SHA1}],
}  # fmt: skip
REQUIREMENTS = (
    f"# engine\ntorch==2.13.0+cpu \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n"
    f"vllm==0.32.0 \\\n    --hash=sha256:{B}\n"
).encode()


COSTS = b"""\
currency: EUR
energy: {kwh: 0.3, pue: 1.4}
hosts:
  gpu1: {from: 2026-01-01, purchase: {price: 30000, years: 4}, watts: {idle: 250, busy: 900}}
capacity:
  - {model: a, input: 20000, output: 2500, measured: 2026-11-01}
apis:
  a/b: {read: 2026-11-20, input: 1, output: 2, over: {200000: {input: 2, output: 3}}}
"""
SCHEDULE = b"""\
time_zone: Europe/Berlin
windows:
  night: {days: [tue, thu], from: 02:00, for: 3h, jitter: 20min}
  once: {dates: [2026-12-01], from: "23:30", for: 90min}
blackouts: [2026-12-20..2027-01-06, 2026-11-27, 2027-03-01..]
models:
  tiny: {policy: auto, windows: [night], soak: 3d}
models_a_window: 2
"""


def scheduled(data: bytes) -> Any:
    found = parse_schedule(Path("schedule.yaml"), words(data)).schedule
    return [len(found.windows), len(found.rules), len(found.blackouts), found.most]


def costed(data: bytes) -> Any:
    found = parse_costs(Path("costs.yaml"), words(data))
    return [len(found.hosts), len(found.apis), str(found.kwh), str(found.capacities)]


def stored(data: bytes) -> Any:
    found = parse_stored(data, Path("/store"))
    return None if found is None else [asdict(found.snapshot), found.licence, found.pulled_at]


ADAPTER = {
    "peft_type": "LORA",
    "r": 8,
    "base_model_name_or_path": "acme/tiny",
    "rank_pattern": {"q_proj": 16},
    "modules_to_save": None,
    "init_lora_weights": "eva",
    "use_dora": False,
}


def adapted(data: bytes) -> Any:
    base = version(lora=Lora(), source=HubSource("acme/tiny"))
    adapter = Adapter("sql", HubSource("acme/sql"), "1" * 40)
    return adapter_fault(base, adapter, parse_mapping(data, 10**6))


def locked(data: bytes) -> Any:
    lock = parse_lock(Path("x.lock.json"), words(data))
    return [asdict(each) for each in lock.snapshots.values()]


REGISTRY = b"""\
policy:
  licences: {allowed: [mit], approved: {other: [tiny]}}
models:
  tiny:
    licence: mit
    openness: open-weights
    source: {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 6GiB}
    checks: [{prompt: Say hello., contains: hello}]
    versions:
      a: {revision: %s}
""" % SHA1.encode()


def registered(data: bytes) -> Any:
    found = parse_registry(Path("model_registry.yaml"), words(data))
    return [asdict(version) for version in found.registry.versions]


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
    sums = use_hand_out._Sums()
    for each in filter(None, found):
        of_run = {"run": A[:16], "program": "m-blue", "version": "1", "release": 3}
        sums.add(
            json.dumps({**each, **of_run, **({"begin": True} if "engine" in each else {})}).encode()
        )
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


def claimed(data: bytes) -> Any:
    return asdict(claim_of("", words(data), "headers"))


def evidenced(data: bytes) -> Any:
    return [list(each) for each in check_evidence.check(data, None).lines]


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


def bundled(data: bytes) -> Any:
    return parse_manifest(words(data)).as_json()


def packages(data: bytes) -> Any:
    return [asdict(package) for package in parse_requirements(words(data))]


def wheel(data: bytes) -> Any:
    return dict(read_archive(io.BytesIO(data), "x.whl", ("vllm/*.py",)))


def archive(method: int) -> bytes:
    packed_file = io.BytesIO()
    with zipfile.ZipFile(packed_file, "w", method) as made:
        made.writestr("vllm/envs.py", "VLLM_PORT = 1\n" * 20)
        made.writestr("vllm/other.txt", "text")
    return packed_file.getvalue()


def sources(data: bytes) -> Any:
    texts = {"vllm/engine/arg_utils.py": words(data), "vllm/envs.py": words(data)}
    return [each.words for each in missing_names("0.32.0", texts)]


SOURCES = (
    b'class EngineArgs:\n    model: str = "x"\n\nFLAG = "--max-model-len"\nNAME = f"vllm:{1}"\n'
)

# --- hosts

FACTS = {
    "observed_at": 1000.0, "init": "systemd", "os": "Debian 12", "python": "3.11", "memory": 2**34,
    "memory_available": 2**33, "disk_free": 10**11, "disk_total": 10**12,
    "files_free": 10**6, "noexec": False, "tmp_free": 10**9,
    "os_id": "debian", "os_version": "12",
    "kernel": "6.1", "architecture": "x86_64", "confines": True, "accelerators": ["nvidia"], "driver_fault": "",
    "cpus": 4, "engines": ["e"], "snapshots": [A], "converged": A, "missing_libraries": [],
    "devices": [{"index": 0, "name": "H100", "memory": 2**36, "memory_free": 2**35, "temperature": None}],
    "slots": [{"model": "tiny", "slot": "blue", "port": 8100, "release": ABLE, "devices": [0],
               "process": "running", "healthy": True, "weight": 100, "sessions": 1, "memory": 2**30,
               "started_at": 5.0, "drift": []}],
    "router": {"running": True, "bind": "127.0.0.1:8080", "version": "2.6", "workers": 1, "drift": [], "tls": False,
               "keys": 1, "locked": True, "ring_digest": A},
    "routes": {"serial": 1, "routes": []}, "used_ports": [22],
    "guards": [{"order": {"rollout": "r1", "model": "tiny", "slot": "green", "former": "blue", "release": 2,
                          "version": "v2", "phase": "bake", "seconds": 60.0, "since": 990.0, "share": 0},
                "wish": "", "looked_at": 999.5, "watched": 9.0, "requests": 180, "probes": 9,
                "figures": [{"name": "failed", "new": 5.5, "old": None, "unit": "%"}],
                "verdict": {"gate": "bake", "verdict": "failed", "reason": "it hangs", "figures": []},
                "withdrawn": "it hangs", "withdrawn_at": 999.0}],
    "opened": None, "lock": {"held": True, "owner": {"actor": "a@b", "command": "deploy", "pid": 5, "since": 1000.5}},
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


def keys(data: bytes) -> Any:
    with understood("gpu1"):
        return checked(KeyRing.from_json(parse_answer(data)["result"])).as_json()


def owner(data: bytes) -> Any:
    return asdict(owner_from_json(parse_answer(data)["result"]))


def devices(data: bytes) -> Any:
    rows, fault = accelerators.rows_of(words(data), 10)
    return [accelerators._device(row) for row in rows], fault


def golden(data: bytes) -> Any:
    """Read a file of golden prompts; no pattern is matched, which has a process of its own."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / ("x.jsonl" if data.startswith(b"{") else "x.yaml")
        path.write_bytes(data)
        return [asdict(each) for each in read_golden(path, lambda _: "")]


def said(data: bytes) -> Any:
    """Read the answers of every kind, and the keys of answers and streams."""
    text = words(data)
    for kind in Kind:
        with suppress(ValueError):
            asdict(said_in(kind, Answer(200, text)))
    with suppress(ValueError):
        keys_of(Answer(200, text))
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
PARSERS = (
    Parser("json", lambda data: parse_json(data, 10**6), (packed(FACTS), packed(LISTING)), DAMAGED),
    Parser("weights", weights, (safetensors(HEADER, 16), safetensors({}, 0)), DAMAGED),
    Parser("header", lambda data: [asdict(t) for t in parse_header(data)], (packed(HEADER),), DAMAGED),
    Parser("config", predicted, CONFIGS, (*DAMAGED, ToolkitError)),
    Parser("small files of a model", told, (*CONFIGS, packed(TOKENIZER), packed(MODULES), TEMPLATE)),
    Parser("configuration of an adapter", adapted, (packed(ADAPTER),), DAMAGED),
    Parser("index", lambda data: sorted(parse_index(data)), (packed(INDEX),), DAMAGED),
    Parser("repository", lambda data: asdict(parse_repo_info(data)), (packed(INFO),), DAMAGED),
    Parser("listing", lambda data: [asdict(f) for f in parse_listing(data)], (packed(LISTING),), DAMAGED),
    Parser("commits", lambda data: [asdict(each) for each in parse_commits(data)], (packed(COMMITS),), DAMAGED),
    Parser("headers of answers", headers, HEADERS, DAMAGED),
    Parser("lock of the registry", locked, (packed(LOCK),)),
    Parser("schedule", scheduled, (SCHEDULE,), slow=True),
    Parser("costs", costed, (COSTS,), slow=True),
    Parser("registry", registered, (REGISTRY,), slow=True),
    Parser("manifest of the store", stored, (packed(STORED),), (ValueError, KeyError, TypeError)),
    Parser("manifest of a bundle", bundled, (manifest_text(BUNDLE).encode(),)),
    Parser("lock of an engine", packages, (REQUIREMENTS,), DAMAGED),
    Parser("wheel", wheel, (archive(zipfile.ZIP_DEFLATED), archive(zipfile.ZIP_LZMA), archive(zipfile.ZIP_STORED))),
    Parser("sources of an engine", sources, (SOURCES,), (SyntaxError,)),
    Parser("facts of a host", observed, (packed({"result": complete(FACTS)}),), (*DAMAGED, KeyError, ToolkitError)),
    Parser("keys of a host", keys, (packed({"result": KEYS}),), (*DAMAGED, KeyError, ToolkitError)),
    Parser("owner of a lock", owner, (packed({"result": FACTS["lock"]}),), (*DAMAGED, KeyError)),
    Parser("words of ssh", words_of_ssh, SSH),
    Parser("audit log", audited, (AUDIT,), slow=True),
    Parser("heads of a host", heads, (packed({"result": HEADS}),), (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("requests in an access log", accessed, (packed({"result": ACCESS}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("perimeter of a host", tried, (packed({"result": PERIMETER}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("line of a replica's use", recorded, tuple(packed(each) for each in LINES)),
    Parser("use of a host", handed_out, (packed({"result": HANDED_OUT}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("use of other hosts", lambda data: use_sums.told(json.loads(data)), (packed(TOLD),),
           (ValueError, RecursionError)),
    Parser("use that a host states", lambda data: use_sums.stated(json.loads(data)),
           (packed({"ledger": "a" * 16, **SUMS}),), (ValueError, RecursionError)),
    Parser("sums of a host", summed_up,
           (packed({"result": {"own": {"ledger": "b" * 16, **SUMS}, "elsewhere": TOLD}}),),
           (*DAMAGED, KeyError, TypeError, ToolkitError)),
    Parser("series of Prometheus", prometheus, (packed(SERIES),), (ValueError,)),
    Parser("headers of an answer", claimed, (b"HTTP/1.1 200 OK\r\nX-Request-Id: r1\r\nX-Toolkit-Release: 3\r\n",),
           (ToolkitError,)),
    Parser("evidence", evidenced, (evidence_file(),), (check_evidence.NotEvidence,)),
    Parser("notice in the outbox", noticed, (packed(NOTICE),), (ValueError, KeyError, TypeError, AttributeError)),
    Parser("devices", devices, SMI),
    Parser("completion", lambda data: completion.answer_in(data, False), (packed(ANSWER),),
           (ValueError, LookupError, TypeError, AttributeError, RecursionError)),
    Parser("stream", lambda data: completion.answer_in(data, True), (STREAM,),
           (ValueError, LookupError, TypeError, AttributeError, RecursionError)),
    Parser("golden prompts", golden, GOLDEN, slow=True),
    Parser("answers to golden prompts", said, (packed(ANSWER), *ANSWERS)),
    Parser("metrics of an engine", load, (METRICS,)),
    Parser("counters of an engine", counts, (METRICS,)),
    Parser("tokens of an answer", tokens, (packed(ANSWER), packed({"usage": {"completion_tokens": 9}}))),
    Parser("log of an engine", log, logs_of_engines()),
)  # fmt: skip
