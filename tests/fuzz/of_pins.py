"""Files of an operator and what is brought over: the registry and its lock, prices, schedules, bundles, packages."""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fuzz.of_models import SHA1
from tests.fuzz.parser import A, B, packed, words, written
from tests.planning.facts import release, version
from toolkit.adapters.ansible.inventory import _in_order
from toolkit.adapters.engines.wheel import read_archive
from toolkit.adapters.store.manifest import MANIFEST, read_manifest
from toolkit.config.completion.glance import adapters_in, hosts_in, models_in
from toolkit.config.costs.meter import parse_readings
from toolkit.config.costs.reading import parse_costs
from toolkit.config.golden.draft import draft_text, read_requests
from toolkit.config.inventory.fleet import load_fleet
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
    mail: {to: [ops@example.org], from: gpu@example.org, server: "h:587", tls: tls, user: u, password: {file: /p}}
  - name: push
    apprise: {variable: PUSH}
hooks:
  before: {run: [/usr/local/bin/ask, now], seconds: 30}
  after: {run: [/usr/local/bin/tell]}
"""


def notified(data: bytes) -> Any:
    found = load_notify(written("notify.yaml", data))
    return [str(found.channels), str(found.before), str(found.after)]


METER = b"""\
at,host,kwh,devices
2026-11-01T00:00:00Z,gpu1,10.5,GPU-1=10.5
2026-11-01T01:00:00+01:00,gpu2,3,
1793494800.5,gpu1,11.5,GPU-1=11.5
"""


def metered(data: bytes) -> Any:
    found = parse_readings(Path("meter.csv"), words(data))
    return [[str(each) for each in found.metered], [*found.notes]]


def costed(data: bytes) -> Any:
    found = parse_costs(Path("costs.yaml"), words(data))
    return [len(found.hosts), len(found.apis), str(found.kwh), str(found.capacities)]


PROMPTS = (
    b"What is the capital of France?\n"
    b'{"name": "a", "prompt": "hi", "max_tokens": 5, "sampling": {"temperature": 0}}\n'
    b'{"messages": [{"role": "user", "content": "hi"}], "timeout": 5}\n'
)


def drafted(data: bytes) -> Any:
    """Prompts to draft become a file, whatever they are."""
    found = read_requests("prompts.jsonl", words(data))
    return draft_text("tiny", [(each, "an answer") for each in found])


INVENTORY = b"""\
all:
  hosts:
    gpu-1: {ansible_host: 10.0.0.11, ansible_user: ops, ansible_port: 22}
    gpu-2:
      ansible_host: 10.0.0.12
      toolkit_hang_seconds: 30
  vars:
    toolkit_root: /srv/toolkit
    router_bind: 0.0.0.0:8080
    router_cors_origins: [https://chat.example.org]
  children:
    others: {hosts: {gpu-3: {ansible_connection: local, toolkit_address: 10.0.0.13}}}
"""


def inventoried(data: bytes) -> Any:
    fleet = load_fleet(written("hosts.yaml", data))
    return [[each.name, each.address, dict(each.settings)] for each in fleet.hosts]


VARIABLES = {
    "gpu-1": {
        "ansible_host": "10.0.0.11", "ansible_become_password": "x", "ansible_ssh_common_args": "-o A=b",
        "toolkit_firewall_allow": [{"port": 22, "from": "10.0.0.0/8"}], "router_require_keys": "yes",
        "toolkit_hang_models": {"tiny": {"hang": 5}}, "toolkit_exporters": ["node"], "colour": "red",
        "toolkit_metrics_from": ["10.0.0.0/8"], "toolkit_address": "10.0.0.11",
    },
    "gpu-2": {"ansible_connection": "local", "toolkit_address": "10.0.0.12"},
}  # fmt: skip


def evaluated(data: bytes) -> Any:
    """Read the variables of hosts as Ansible gives them, of an inventory that it alone can read."""
    fleet = load_fleet(Path("gpu-1,gpu-2,"), lambda _: _in_order(parse_mapping(data, 10**6)))
    return [[each.name, each.address] for each in fleet.hosts]


def listed_by_ansible() -> bytes:
    hosts = {"all": {"children": ["gpus"]}, "gpus": {"hosts": [*VARIABLES]}}
    return packed({"_meta": {"hostvars": VARIABLES}, **hosts})


def stored(data: bytes) -> Any:
    """Read a manifest as the store does: a damaged one counts as none."""
    found = read_manifest(written(MANIFEST, data).parent)
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


# A model with each of the fields that have values of their own.
RICH = b"""\
policy:
  licences: {allowed: [mit], denied: [cc-by-nc-4.0], approved: {other: [big]}}
models:
  big:
    licence: mit
    openness: open-weights
    description: Big
    aliases: [Acme/Big]
    kind: chat
    routing: prefix
    hold: 120s
    inside: true
    source: {repo: acme/big, track: dev}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cuda], devices: 2, memory: 60GiB}
    serving:
      max-model-len: 8192
      enforce-eager: true
      gpu-memory-utilization: 0.9
      speculative-config: '{"method": "ngram", "num_speculative_tokens": 3}'
    env: {VLLM_LOGGING_LEVEL: INFO}
    checks: [{kind: chat, prompt: Say hello., contains: hello, max_tokens: 8, timeout: 60s}]
    lora: {max_active: 2, max_rank: 16}
    adapters:
      sql: {source: {repo: acme/sql}, revision: %(revision)s, guard: {bake: 5min}}
    guard:
      canary: [{share: 1%%, duration: 5min, requests: 50}, {share: 50%%, duration: 2h}]
      bake: 10min
      patience: 30min
      unsure: go-on
      tolerance: {slower: 1.25, errors: 2%%, growth: 1.5}
      answers: {file: golden.yaml, at_least: 95%%, lose_at_most: 1}
      speed: {pairs: 20, concurrency: 4, max_tokens: 32}
      shape: {allow: [choices.message.reasoning]}
      benchmarks: {tasks: [a.yaml], limit: 100, lose_at_most: 2%%, timeout: 1h}
    objectives:
      window: 28d
      availability: 99.5%%
      first_token: {target: 95%%, under: 2s}
      between_tokens: {target: 99%%, under: 50ms}
    versions:
      a: {revision: %(revision)s, serving: {max-model-len: 4096}}
      b:
        revision: %(revision)s
        candidate: true
        permission: {trust_remote_code: true, formats: [bin], options: [VLLM_PLUGINS], reason: reviewed}
        env: {VLLM_PLUGINS: x}
""" % {b"revision": SHA1.encode()}
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


def glanced(data: bytes) -> Any:
    """Read the names that completion offers of a registry or an inventory."""
    path = written("glanced.yaml", data)
    return [models_in(path), adapters_in(path), hosts_in(path)]


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
