"""docs/upgrades.md: the machine of docs/scheduling.md, whose model gets each guard that the document shows."""

from __future__ import annotations

from tests.walk.walking import Ended, First, LeftOut, Says, Scene, Typed, Walk

MODEL = "qwen-7b"
SHOWN = LeftOut(
    "what the toolkit says of other models; tests/cli and tests/workflows have its words"
)
PICTURE = LeftOut("a picture")
WATCH = "toolkit watch my-model"
PROMOTE = 'toolkit promote my-model --reason "its answers were read"'
ABORT = 'toolkit abort my-model --reason "its answers are too long"'


def golden(scene: Scene) -> None:
    """Write the golden prompts that the first guard names."""
    scene.type("mkdir -p golden")
    scene.write("golden/chat.yaml", scene.block.text)
    declare(scene.at(next(each for each in WALK.blocks if "golden/chat.yaml" in each.text)))


def benchmark(scene: Scene) -> None:
    """Write the task beside its questions."""
    scene.type("mkdir -p benchmarks")
    scene.write("benchmarks/sums.yaml", scene.block.text)
    scene.write("benchmarks/sums.jsonl", '{"question": "1+1", "answer": "2"}\n')


def declare(scene: Scene) -> None:
    """Write the guard below the model, and have the registry read with the files that it names."""
    scene.type("test -f plain.yaml || cp model_registry.yaml plain.yaml")
    text = scene.type("cat plain.yaml")
    lines = "".join(f"    {line}\n" for line in scene.block.lines)
    scene.write(
        "model_registry.yaml", text.replace(f"  {MODEL}:", f"  {MODEL}:\n{lines}", 1) + "\n"
    )
    said = scene.type("toolkit registry check; toolkit registry show qwen-7b --json")
    assert '"guard"' in said, said


def questions(scene: Scene) -> None:
    scene.type("mv plain.yaml model_registry.yaml")
    scene.write("questions.txt", "What is the capital of France?\n")
    scene.type("mkdir -p golden")


def upgrade_to(version: str, *, after: str = "") -> First:
    """Begin an upgrade in the background, and wait until its bake is watched."""

    def begin(scene: Scene) -> None:
        command = f"toolkit upgrade {MODEL} --to {version} --yes --bake 300"
        scene.type(f"{after}({command}; echo code $?) >upgrade.log 2>&1 & true")
        look = f"toolkit watch {MODEL} --once"
        scene.type(f"timeout 120 sh -c 'until {look} | grep bake; do sleep 0.5; done'")

    return First(begin, "a command follows a release in another terminal")


def with_model(command: str, **others: str) -> dict[str, Typed]:
    """Return the command with the model of this machine."""
    told = command.replace("my-model", MODEL)
    for old, new in others.items():
        told = told.replace(old, new)
    return {command: Typed(told, "the model of this machine")}


WALK = Walk(
    "docs/upgrades.md",
    left_out={
        "start      gates          canary            bake         standby": PICTURE,
        "ops machine                       the host": PICTURE,
        "shape: failed: a chat: choices.message.reasoning_content gone; a chat: new choices.message.reasoning": SHOWN,
        "strategy side-by-side, expected downtime 0 s": SHOWN,
        "How a release earns its traffic: guard:": LeftOut("it is written once its golden prompts are there"),
        "serving: {enable-sleep-mode: true}": LeftOut("only a GPU takes it; a registry of the CPU is refused with it"),
    },
    files={
        "Shape: guard:": First(declare, "a person writes it into the registry"),
        "- name: capital": First(golden, "a person writes it beside the registry"),
        "Speed: guard:": First(declare, "a person writes it into the registry"),
        "# benchmarks/sums.yaml": First(benchmark, "a person writes it beside the registry"),
        "Benchmarks: guard:": First(declare, "a person writes it into the registry"),
    },
    first={
        "toolkit gate record my-model --prompts questions.txt --output golden/my-model.yaml": First(
            questions, "a person writes them"
        ),
        WATCH: upgrade_to("2.5"),
        ABORT: upgrade_to("2025-11", after="wait; "),
    },
    typed={
        **with_model("toolkit gate my-model@v2", v2="2.5"),
        **with_model("toolkit gate record my-model --prompts questions.txt --output golden/my-model.yaml"),
        **with_model(WATCH),
        **with_model(PROMOTE),
        ABORT: Typed(
            f"{ABORT.replace('my-model', MODEL)} && wait; cat upgrade.log",
            "the model of this machine, and the end of the upgrade",
        ),
    },
    ended={WATCH: Ended("bake", "it goes on until the end of the bake")},
    says={
        WATCH: Says((r"2\.5", r"bake"), code=130),
        PROMOTE: Says((r"qwen-7b gets all traffic",)),
        ABORT: Says((r"qwen-7b gives its traffic back", r"code 8")),
        "toolkit gate my-model@v2": Says((r"shape", r"health")),
        "toolkit gate record my-model --prompts questions.txt --output golden/my-model.yaml": Says(
            (r"1 golden prompts in golden/qwen-7b\.yaml",)
        ),
    },
)  # fmt: skip
