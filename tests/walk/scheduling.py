"""docs/scheduling.md: one machine that serves itself, after the walk of docs/registry.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.walk.gpu import pretend_gpus
from tests.walk.registry import publish
from tests.walk.walking import First, LeftOut, Says, Scene, Typed, Walk

# A model of a directory, which the example of a schedule names.
TINY = """\
  tiny:
    licence: apache-2.0
    openness: open-weights
    source: {path: ./tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cuda], memory: 2GiB}
"""


def serve(scene: Scene) -> None:
    """Serve qwen-7b as it was first pinned, beside a newer commit; pin a model of a directory."""
    pretend_gpus(scene.newcomer.lab.machines[0])
    scene.type("toolkit deploy qwen-7b@2.5 --yes --bake 0")
    store = "~/.toolkit/store/snapshots/Qwen--Qwen2.5-7B-Instruct"
    scene.type(f"cp -r $(ls -d {store}/*/files | head -1) tiny && chmod -R u+w tiny")
    scene.write("tiny.yaml", TINY)
    scene.type("sed -i '/^models:/r tiny.yaml' model_registry.yaml && rm tiny.yaml")
    scene.type("toolkit registry pin tiny --as v1")
    publish(scene)


# A model, and an adapter, that the examples of warm hours and of adapters name.
OTHERS = ("rare-14b", "mistral-7b")
COMMIT = "1" * 40
ADAPTER = f"    adapters: {{qwen-sql: {{source: {{repo: acme/sql}}, revision: '{COMMIT}'}}}}\n"
DAILY = "{days: [mon, tue, wed, thu, fri, sat, sun], from: 02:00, for: 3h}"


def others(scene: Scene) -> None:
    """Write a registry with all models that the examples name."""
    scene.type("cp model_registry.lock.json others.lock.json")
    text = scene.type("cat model_registry.yaml")
    model = TINY.replace("{path: ./tiny}", "{repo: acme/other}")
    model += f"    versions: {{v1: {{revision: '{COMMIT}'}}}}\n"
    models = "".join(model.replace("tiny:", f"{name}:", 1) for name in OTHERS)
    text = text.replace("models:\n", f"models:\n{models}", 1)
    # A person may have written a comment behind the name.
    text = re.sub(r"(?m)^  qwen-7b:.*\n", rf"\g<0>{ADAPTER}", text, count=1)
    scene.write("others.yaml", text + "\n")


def read_example(*patterns: str, above: str = "") -> First:
    """Write the example below `above`, and have it listed; without windows, ask what a run would do, too."""

    def read(scene: Scene) -> None:
        others(scene)
        scene.write("example.yaml", above + scene.block.text)
        given = "--schedule example.yaml --registry others.yaml"
        said = scene.type(f"toolkit schedule list {given}")
        said += "" if above else scene.type(f"toolkit schedule run --dry-run {given}")
        for pattern in patterns:
            assert re.search(pattern, said), f"{scene.block}: nothing like {pattern!r}\n{said}"

    return First(read, "a person writes it, with the registry that it speaks of")


def keep_warm(scene: Scene) -> None:
    """Read the example, and see how often its timer would call."""
    read_example(r"qwen-7b +mon,tue,wed,thu,fri 08:00", "by its hours it is to be").act(scene)
    given = "--schedule example.yaml --registry others.yaml"
    assert "OnCalendar=*:0/5" in scene.type(f"toolkit schedule install --dry-run {given}")


def track(scene: Scene) -> None:
    """Write the line in the place of the model's source, into another registry."""
    scene.type("cp model_registry.lock.json tracked.lock.json")
    line = scene.block.text.strip().replace("/", "\\/")
    source = r"source: {repo: Qwen\/Qwen2.5-7B-Instruct}"
    scene.type(f"sed 's/{source}/{line}/' model_registry.yaml > tracked.yaml")
    scene.type("toolkit registry check --registry tracked.yaml && grep -q stable tracked.yaml")


def write_schedule(scene: Scene) -> None:
    """Write the schedule, with the document's dates from next year on.

    On the day of a release, commands speak of that window's models alone; in a freeze without an end none opens.
    """
    year = re.compile(r"\b\d{4}(?=-\d\d-\d\d\b)")
    later = datetime.now(UTC).year + 1 - min(map(int, year.findall(scene.block.text)))
    scene.write("schedule.yaml", year.sub(lambda of: str(int(of[0]) + later), scene.block.text))


# What libpam-systemd sets on a Debian; the hosts of tests are smaller.
_RUNTIME = """\
mkdir -p /etc/systemd/system/user@.service.d
printf '[Service]\\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\\n' >/etc/systemd/system/user@.service.d/runtime.conf
systemctl daemon-reload
"""


def linger(scene: Scene) -> None:
    """Let the user's units run without a login, as the text says; that takes a moment."""
    scene.newcomer.lab.machines[0].run("sh", "-c", _RUNTIME)
    scene.type("sudo loginctl enable-linger $USER; export XDG_RUNTIME_DIR=/run/user/$(id -u)")
    scene.type("timeout 60 sh -c 'until systemctl --user show-environment; do sleep 0.2; done'")


WALK = Walk(
    "docs/scheduling.md",
    left_out={
        "yes: qwen-7b@2025-11 fits on gpu1": LeftOut(
            "what a plan says by it, as tests/planning/test_fit_turn.py has it"
        ),
        "MODEL    PINNED        SERVES    TRACKED        BEHIND    STATE": LeftOut(
            "what it says of three hosts and an engine that is newer than its lock"
        ),
    },
    files={
        "source: {repo: Qwen/Qwen2.5-7B-Instruct, track: stable}": First(track, "a line of the registry"),
        "The schedule: # schedule.yaml": First(write_schedule, "a person writes it"),
        "Adapters: models:": read_example(
            r"qwen-sql +auto +weeknights +1 d", above=f"time_zone: UTC\nwindows: {{weeknights: {DAILY}}}\n"
        ),
        "Warm hours: # schedule.yaml": First(keep_warm, "a person writes it"),
        "Idle models: # schedule.yaml": read_example(
            r"qwen-7b .* 30 min +wait", r"rare-14b: it sleeps after 60 min without a request"
        ),
        "Models that share a device: # schedule.yaml": read_example(
            "qwen-7b takes turns with mistral-7b", "mistral-7b takes turns with qwen-7b"
        ),
    },
    first={
        "toolkit outdated": First(serve, "a model serves, and its owner makes a commit"),
        "toolkit update qwen-7b --as 2025-11": First(publish, "the owner makes another commit"),
        "toolkit schedule install": First(linger, "the text says so of a user who is not root"),
    },
    typed={
        "toolkit upgrade qwen-7b --to 2025-11": Typed(
            "toolkit upgrade qwen-7b --to 2025-11 --bake 1", "a second of watching is enough for a stub"
        ),
        "systemctl list-timers toolkit-schedule.timer": Typed(
            "systemctl --user list-timers toolkit-schedule.timer", "the user is not root"
        ),
    },
    says={
        "toolkit outdated": Says((r"qwen-7b .*outdated",), code=9),
        "toolkit outdated qwen-7b --no-engines --json": Says((r'"outdated"',), code=9),
        "toolkit update qwen-7b --as 2025-11": Says((r"2025-11",)),
        "toolkit schedule list": Says((r"weeknights", r"release-day", r"qwen-7b")),
        "toolkit schedule next --count 10": Says((r"weeknights",)),
        "toolkit schedule run --dry-run": Says((r"qwen-7b", r"tiny")),
        "toolkit schedule install --dry-run": Says((r"OnCalendar",)),
        "systemctl list-timers toolkit-schedule.timer": Says((r"toolkit-schedule\.timer",)),
    },
)  # fmt: skip
