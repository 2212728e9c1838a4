"""Files of an operator and what is brought over: the registry and its lock, prices, schedules, bundles, packages."""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz.of_models import SHA1
from tests.fuzz.parser import A, B, words
from tests.planning.facts import release, version
from toolkit.adapters.engines.wheel import read_archive
from toolkit.adapters.store.manifest import parse_manifest as parse_stored
from toolkit.config.costs.reading import parse_costs
from toolkit.config.notify import load_notify
from toolkit.config.registry.lock_file import parse_lock
from toolkit.config.registry.reading import parse_registry
from toolkit.config.schedule import parse_schedule
from toolkit.domain.engines.requirements import parse_requirements
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.outside import parse_mapping
from toolkit.domain.registry.model import Adapter, HubSource, Lora
from toolkit.planning.engines.vllm_check import missing_names
from toolkit.planning.release.adapter_files import adapter_fault
from toolkit.planning.upkeep.bundle import parse_manifest

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


NOTIFY = b"""\
channels:
  - name: ops
    webhook: https://chat.example/hook
    form: text
    key: {variable: OPS_KEY}
    when: [failed]
    commands: [deploy, keys add]
  - name: mail
    mail: {to: [ops@example.org], from: gpu@example.org, server: "h:587", tls: tls, password: {file: /p}}
  - name: push
    apprise: {variable: PUSH}
hooks:
  before: {run: [/usr/local/bin/ask, now], seconds: 30}
  after: {run: [/usr/local/bin/tell]}
"""


def notified(data: bytes) -> Any:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "notify.yaml"
        path.write_bytes(data)
        found = load_notify(path)
    return [str(found.channels), str(found.before), str(found.after)]


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
