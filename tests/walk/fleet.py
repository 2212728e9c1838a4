"""docs/fleet.md: three hosts that seem to have GPUs, and a machine from which a person works."""

from __future__ import annotations

import json
import re

from tests.system.waiting import until
from tests.walk.gpu import pretend_gpus
from tests.walk.registry import publish
from tests.walk.walking import First, LeftOut, Says, Scene, Walk, quickly

OPS = "ops"
HOSTS = ("gpu-1", "gpu-2", "gpu-3", "gpu-4")
SPARE = "spare"
BUNDLE = LeftOut(
    "the packages of a real engine are gigabytes from the package index; tests/workflows/test_bundle.py and "
    "test_bundle_load.py make and load bundles with a small one"
)


def addresses(scene: Scene, text: str) -> str:
    """Return a text of the document with the addresses that the hosts have here."""
    lab = scene.newcomer.lab
    for host in HOSTS:
        number = host.removeprefix("gpu-")
        text = re.sub(rf"\b10\.[01]\.0\.1{number}\b", lab[host].address, text)
    return text


def write_fleet(scene: Scene) -> None:
    """Write the fleet file, and let the key that it names into the hosts, as whoever set them up has done."""
    scene.write("fleet.yaml", addresses(scene, scene.block.text))
    scene.type("ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/ops")
    key = scene.type("cat ~/.ssh/ops.pub")
    lab = scene.newcomer.lab
    known = "".join(lab[host].known_hosts.read_text() for host in (*HOSTS, SPARE))
    scene.write("~/.ssh/known_hosts", known)
    for host in (*HOSTS, SPARE):
        pretend_gpus(lab[host])
        lab[host].run("sh", "-c", 'echo "$1" >> /home/ops/.ssh/authorized_keys', "sh", key)


def add_host(scene: Scene) -> None:
    """Add the line to the fleet file."""
    line = addresses(scene, scene.block.text)
    scene.type(f"echo '{line.rstrip()}' >> fleet.yaml")


def remove_line(host: str) -> First:
    return First(
        lambda scene: scene.type(f"sed -i '/{host}:/d' fleet.yaml"), "a person edits the fleet file"
    )


def lose_host(scene: Scene) -> None:
    """Cut the power of a host, and take it out of the fleet file."""
    scene.newcomer.lab["gpu-3"].power_off()
    scene.type("sed -i '/gpu-3:/d' fleet.yaml")


def replace_host(scene: Scene) -> None:
    """Give the name of the lost host to another machine."""
    address = scene.newcomer.lab[SPARE].address
    scene.type(f"echo '    gpu-3: {{ansible_host: {address}}}' >> fleet.yaml")


def new_version(scene: Scene) -> None:
    publish(scene)
    scene.type("toolkit registry pin qwen-7b")


def declare_large(scene: Scene) -> None:
    """Write a model over two hosts into the registry: that of qwen-7b, with the document's line."""
    scene.type("cp model_registry.yaml kept.yaml")
    line = scene.block.text.strip()
    text = scene.type("cat kept.yaml")
    model = (
        "  large:\n    licence: apache-2.0\n    openness: open-weights\n"
        "    source: {repo: Qwen/Qwen2.5-7B-Instruct}\n"
        f"    engine: {{name: vllm, version: 0.32.0}}\n    {line}\n    versions:\n"
        '      "2.5": {revision: a09a35458c702b33eeacc393d103063234e8bc28}\n'
    )
    scene.write("model_registry.yaml", f"{text}\n{model}")
    scene.type("toolkit registry pin large --lock-only")


def another_large(scene: Scene) -> None:
    publish(scene)
    scene.type("toolkit registry pin large")


def serve_tls(scene: Scene) -> None:
    """Do what the section on TLS says, which comes later, at the door that the command names."""
    tls = next(block for block in WALK.blocks if block.is_called("TLS: all:"))
    scene.type("mkdir -p ~/tls")
    scene.type(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=models.example "
        "-addext subjectAltName=DNS:models.example -keyout ~/tls/models.key -out ~/tls/models.pem 2>/dev/null"
    )
    for line in tls.lines:
        if "router_" in line:
            scene.type(f"sed -i '2a\\{line}' fleet.yaml")
    scene.type("toolkit deploy qwen-7b --yes")
    address = scene.newcomer.lab["gpu-1"].address
    scene.type(f"echo {address} models.example | sudo tee -a /etc/hosts")
    scene.type("sudo cp ~/tls/models.pem /usr/local/share/ca-certificates/models.crt")
    scene.type("sudo update-ca-certificates")
    scene.type("export KEY=$(toolkit keys add walker 2>/dev/null)")


def renew_certificate(scene: Scene) -> None:
    """See that the file has these lines, put a new pair there, and deploy."""
    fleet = scene.type("cat fleet.yaml")
    assert all(line in fleet for line in scene.block.lines if "router_" in line)
    scene.type(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 -subj /CN=models.example "
        "-addext subjectAltName=DNS:models.example -keyout ~/tls/models.key -out ~/tls/models.pem 2>/dev/null"
    )
    scene.type("toolkit deploy qwen-7b --yes")
    fingerprint = "openssl x509 -noout -fingerprint"
    renewed = scene.type(f"{fingerprint} -in ~/tls/models.pem")
    presented = (
        f"openssl s_client -connect models.example:8443 </dev/null 2>/dev/null | {fingerprint}"
    )
    # The former worker may take connections until a busy machine lets it leave its port.
    until(lambda: scene.type(presented), 60, lambda served: served == renewed)


def read_access_log(scene: Scene) -> None:
    """Compare the fields of the document's line with those of a request."""
    scene.type(
        "curl -s --cacert ~/tls/models.pem https://models.example:8443/v1/chat/completions "
        '-H "Authorization: Bearer $KEY" -H "Content-Type: application/json" '
        """-d '{"model": "qwen-7b", "messages": []}'"""
    )

    def logged() -> list[str]:
        log = scene.newcomer.lab["gpu-1"].run(
            "journalctl", "--unit=toolkit-router", "--output=cat", "--no-pager"
        )
        return [
            line[line.index("{") :] for line in log.splitlines() if '"/v1/chat/completions"' in line
        ]

    # The journal has a line a moment after the client has its answer.
    lines = until(logged, 60)
    assert fields(json.loads(lines[-1])) == fields(json.loads(scene.block.text))


def fields(value: object) -> object:
    """Return the names of all fields, those of inner objects too."""
    if isinstance(value, dict):
        return {name: fields(each) for name, each in value.items()}
    return None


WALK = Walk(
    "docs/fleet.md",
    left_out={
        "A few gateways for many hosts: all:": LeftOut(
            "another fleet: tests/config/test_gateways.py reads it, and tests/system/test_fleet_job.py has a gateway"
        ),
        "2026-11-22 13:04:50 UTC qwen-7b #3 blue ann 200 - 7/12 0.26s /v1/chat/completions "
        "5f706051-ef64-49e4-9e2a-d534966066f6": LeftOut("lines of other clients"),
        "toolkit bundle create qwen-7b qwen-0.5b@2.5 --to usb/models --dry-run": BUNDLE,
        "toolkit bundle create qwen-0.5b --to usb/models --accelerator cpu --python 3.11 --python 3.12": BUNDLE,
        "toolkit bundle show usb/models": BUNDLE,
    },
    files={
        "From three bare hosts to a served model: all:": First(
            write_fleet, "a person writes it, with the addresses of the hosts here"
        ),
        "TLS: all:": First(
            renew_certificate, "its lines are in the file already; the pair is renewed"
        ),
        "gpu-4: {ansible_host: 10.0.0.14}": First(add_host, "a person writes it"),
        "resources: {accelerators: [cuda], memory: 600GiB, devices: 8, hosts: 2}": First(
            declare_large, "a person writes it into a model"
        ),
        '{"at": "22/Nov/2026:13:04:50 +0000", "client": "10.0.0.9", "method": "POST", "path": "/v1/chat/completions", '
        '"key": "ann",': First(read_access_log, "it is output of the router"),
    },
    first={
        "toolkit upgrade qwen-7b": First(new_version, "a newer version is pinned"),
        "toolkit hosts drain gpu-4 / toolkit provision": remove_line("gpu-4"),
        "toolkit hosts forget gpu-3": First(lose_host, "the host dies"),
        "toolkit provision gpu-3": First(replace_host, "a person writes the new address"),
        "toolkit upgrade large": First(another_large, "a newer version is pinned"),
        "toolkit keys add old-one --key-stdin < key.txt": First(
            lambda scene: scene.type("head -c 32 /dev/urandom | base64 > key.txt"),
            "the key of another system",
        ),
        'curl -s https://models.example:8443/v1/models -H "Authorization: Bearer $KEY"': First(
            serve_tls, "its address has TLS, which comes later in the document"
        ),
        "pip download …": First(
            lambda scene: scene.type(
                "pushd ~/open-weights-toolkit && python3 -m venv ~/pip && export PATH=~/pip/bin:$PATH"
            ),
            "in the clone, with a pip in the PATH",
        ),
    },
    typed=quickly(
        "toolkit deploy qwen-7b",
        "toolkit upgrade qwen-7b",
        "toolkit deploy qwen-7b --replicas 4",
        "toolkit deploy qwen-7b --host gpu-3",
        "toolkit deploy large",
        "toolkit upgrade large",
    ),
    says={
        "toolkit hosts": Says((r"gpu-1 ", r"gpu-2 ", r"gpu-3 ")),
        "toolkit plan qwen-7b": Says((r"(?i)^yes",)),
        "toolkit deploy qwen-7b": Says((r"qwen-7b #1 \(2\.5\) is live",)),
        "toolkit hosts drain gpu-4": Says((r"gpu-4 serves nothing; .*, then: toolkit provision$",)),
        "toolkit keys list": Says((r"ann", r"batch", r"600", r"16")),
        "curl -s https://models.example:8443/v1/models …": Says((r'"id": ?"qwen-7b"',)),
    },
)
