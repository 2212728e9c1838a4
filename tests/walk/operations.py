"""docs/operations.md: one machine that seems to have GPUs."""

from __future__ import annotations

import json

from tests.walk.registry import publish
from tests.walk.walking import Ended, First, LeftOut, Says, Scene, Typed, Walk, quickly

REPO = "Qwen/Qwen2.5-7B-Instruct"
SERVER = LeftOut("no PostgreSQL on the host; tests/adapters/test_history_postgresql.py has one")
TINY = """\
  tiny:
    licence: apache-2.0
    openness: open-weights
    source: {path: ./tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cuda], memory: 2GiB}
"""
FLEET = """\
all:
  hosts:
    localhost:
      ansible_connection: local
"""
TLS = """\
      router_tls_certificate: /home/ops/tls.pem
      router_tls_key: /home/ops/tls.key
"""


def lose_certificate(scene: Scene) -> None:
    """Serve tiny@v1 with TLS, pin v2 with another flag, and take the certificate out of the fleet file."""
    scene.type(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
        "-keyout ~/tls.key -out ~/tls.pem 2>/dev/null"
    )
    scene.write("tls.yaml", FLEET + TLS)
    scene.write("fleet.yaml", FLEET)
    store = "~/.toolkit/store/snapshots/Qwen--Qwen2.5-7B-Instruct"
    scene.type(f"cp -r $(ls -d {store}/*/files | head -1) tiny && chmod -R u+w tiny")
    scene.type(f"cat >> model_registry.yaml <<'END'\n{TINY}END")
    scene.type("toolkit registry pin tiny --as v1")
    scene.type("toolkit deploy tiny@v1 --yes --bake 0 --fleet tls.yaml")
    revision = scene.type("sed -n '$s/.*revision: //p' model_registry.yaml")
    version = f"      v2: {{revision: {revision}, serving: {{max-model-len: 512}}}}"
    scene.type(f"echo '{version}' >> model_registry.yaml")
    scene.type("toolkit registry pin tiny@v2 --lock-only")
    scene.type("export TOOLKIT_FLEET=$PWD/fleet.yaml")


def fail_to_start(scene: Scene) -> None:
    """Upgrade to a version that dies at its start."""
    scene.type("toolkit stop tiny --yes; toolkit deploy qwen-7b@2.5 --yes --bake 0 --turn-off tls")
    scene.newcomer.hub.push(REPO, "", behaviour="dies at start")
    scene.type("toolkit registry pin qwen-7b --as broken")
    said = scene.terminal.type("toolkit upgrade qwen-7b --yes")
    assert said.code == 8 and "no such thing" in said.text, said


def serve_newest(scene: Scene) -> None:
    """Serve 2025-11 with 2.5 beside it, and write a question."""
    scene.type("toolkit deploy qwen-7b@2025-11 --yes --bake 0")
    scene.write("question.txt", "What is the capital of France?\n")


def serve_mirror(scene: Scene) -> None:
    """Let the mirror run in another terminal, under the name that clients know."""
    scene.type("echo 127.0.0.1 mirror.example | sudo tee -a /etc/hosts")
    scene.type("(toolkit mirror --bind 0.0.0.0:8090 >/dev/null 2>&1 &)")
    scene.type("until curl -sf http://mirror.example:8090/ >/dev/null; do sleep 0.2; done")


def fleet_file(scene: Scene) -> None:
    scene.write("example.yaml", scene.block.text)
    scene.type("toolkit config --fleet example.yaml")


def name_models(scene: Scene) -> None:
    """Write the line into the registry."""
    line = scene.block.lines[-1]
    scene.type(
        f"sed 's/^  qwen-7b:$/&\\n{line.replace('/', chr(92) + '/')}/' model_registry.yaml > named.yaml"
    )
    scene.type("cp model_registry.lock.json named.lock.json")
    scene.type("toolkit registry check --registry named.yaml")
    shown = json.loads(scene.type("toolkit registry show qwen-7b --registry named.yaml --json"))
    assert shown["versions"][0]["aliases"] == ["Qwen/Qwen2.5-7B-Instruct", "qwen"]


WALK = Walk(
    "docs/operations.md",
    left_out={
        "hf auth login": LeftOut("it needs an account at the public Hub"),
        "sudo supervisord -c /var/lib/toolkit/supervisor/supervisord.conf": LeftOut(
            "the host has systemd"
        ),
        "Sleep and wake: toolkit sleep qwen-7b": LeftOut(
            "a boot, other hosts and clients belong to it; tests/system/test_fleet_job.py"
        ),
        "Share a device: toolkit sleep qwen-7b": LeftOut(
            "a boot, other hosts and clients belong to it; tests/system/test_fleet_job.py"
        ),
        "CREATE ROLE toolkit LOGIN PASSWORD 'a long one';": SERVER,
        "hostssl  toolkit  toolkit  10.0.0.0/24  scram-sha-256": SERVER,
        "~/toolkit-env/bin/pip install --require-hashes -r requirements-postgresql.lock": SERVER,
        "export TOOLKIT_HISTORY='postgresql://toolkit@db.example/toolkit?sslmode=verify-full&sslrootcert=/etc/ssl/certs/"
        "db-ca.pem'": SERVER,
        "pg_dump --format=custom --file=history.dump 'postgresql://toolkit@db.example/toolkit'": SERVER,
    },
    files={
        "In a browser: all:": First(fleet_file, "a fleet file, read and shown"),
        "models:": First(name_models, "a line of the registry"),
        "The fleet file: all:": First(fleet_file, "a fleet file, read and shown"),
    },
    first={
        "toolkit registry pin qwen-7b": First(publish, "the repository's owner makes a commit"),
        "toolkit registry pin qwen-7b main --as 2025-11": First(publish, "and another one"),
        "toolkit diff tiny@v2": First(lose_certificate, "the host that the text speaks of"),
        "toolkit logs qwen-7b --slot green": First(fail_to_start, "a step fails"),
        'toolkit ask qwen-7b "What is the capital of France?"': First(serve_newest, "a standby"),
        "export HF_ENDPOINT=http://mirror.example:8090": First(serve_mirror, "the mirror runs"),
    },
    typed={
        "toolkit engine lock 0.32.0 --accelerator cuda --python 3.12": Typed(
            "",
            "it asks the package index, which hosts do not reach; tests/adapters/test_engine_packages.py",
        ),
        **quickly(
            "toolkit deploy qwen-7b",
            "toolkit deploy qwen-7b@2.5-awq",
            "toolkit upgrade qwen-7b",
            "toolkit upgrade qwen-7b --to 2.5",
        ),
    },
    ended={
        "toolkit logs qwen-7b -f": Ended("starting on port", "-f follows until Ctrl-C"),
        "toolkit mirror --bind 0.0.0.0:8090": Ended("http://", "it serves until Ctrl-C"),
    },
    says={
        "toolkit logs qwen-7b -f": Says((), code=130),
        "toolkit logs qwen-7b --slot green": Says(("no such thing",)),
        "toolkit ask …": Says(("Paris",)),
        "curl -s http://127.0.0.1:8080/v1/models": Says((r'"qwen-7b"',)),
        "curl -s http://127.0.0.1:8080/v1/chat/completions …": Says(("Paris",)),
    },
)
