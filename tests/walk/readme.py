"""README.md: one machine."""

from __future__ import annotations

from tests.walk.walking import Ended, First, LeftOut, Says, Scene, Walk


def publish(scene: Scene) -> None:
    scene.newcomer.hub.push("Qwen/Qwen2.5-0.5B-Instruct", "It is Paris, and 10.")


WALK = Walk(
    "README.md",
    left_out={
        "$ toolkit upgrade demo-qwen --to v2 --yes --bake 5": LeftOut(
            "demo/record.py writes it from what `make demo` prints, with real vLLM"
        ),
        "make demo": LeftOut("the demo is `make demo` itself, and `make test` runs this walk"),
        "sudo supervisorctl -c /var/lib/toolkit/supervisor/supervisord.conf shutdown": LeftOut(
            "the host has systemd, whose lines the block before has"
        ),
    },
    first={
        "toolkit registry pin qwen-0.5b": First(publish, "the repository's owner makes a commit"),
    },
    ended={
        "toolkit logs qwen-0.5b -f": Ended("starting on port", "-f follows until Ctrl-C"),
    },
    says={
        "toolkit doctor": Says((r"ok +ansible", r"ok +privileges", r"warn +provisioning")),
        "toolkit registry list": Says((r"qwen-0\.5b +2\.5 +7ae557604adf",)),
        "toolkit pull qwen-0.5b": Says((r"qwen-0\.5b@2\.5 pulled and verified",)),
        "toolkit deploy qwen-0.5b": Says(
            (r"go ahead\? \[y/N\]", r"qwen-0\.5b #1 \(2\.5\) is live, after")
        ),
        "curl -s http://127.0.0.1:8080/v1/chat/completions …": Says((r'"content": "Paris',)),
        "toolkit upgrade qwen-0.5b": Says((r"qwen-0\.5b #2 \([0-9a-f]{8}\) is live",)),
        "toolkit rollback qwen-0.5b": Says((r"qwen-0\.5b #1 \(2\.5\) is live",)),
        "toolkit status": Says((r"2\.5 .*serving +100%", r"standby +0%")),
        "toolkit logs qwen-0.5b -f": Says((), code=130),
    },
)
