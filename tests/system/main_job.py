"""What the tests of the main job share: the engines of its versions, its commands, and requests to its router."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path

from demo.lab import TOOLKIT
from tests.system.adapted import LORA
from tests.system.beside import Command, beside
from tests.system.served import FORMER, TWO_ENGINES, Served, install_former

REPOSITORY = Path(__file__).parents[2]
WHO = "Which version are you?"
# v1 runs with this engine, the other versions with the registry's newer one: an upgrade changes the engine as well.
ENGINES = {"v1": FORMER if TWO_ENGINES else "0.32.0", "v2": "0.32.0"}


def prepare_registry(served: Served) -> None:
    """Give v1 the former engine, where its lock is for this Python, and all versions room for LoRA adapters."""
    text = served.lab.registry.read_text("utf-8")
    text = text.replace("    checks:\n", f"{LORA}    checks:\n", 1)
    install_former(served.lab)
    if TWO_ENGINES:
        text, count = re.subn(
            r"^( +)(v1:\n)",
            rf"\1\2\1  engine: {{name: vllm, version: {FORMER}}}\n",
            text,
            flags=re.M,
        )
        assert count == 1
    served.lab.registry.write_text(text, "utf-8")


def has_loaded(served: Served, slot: str) -> bool:
    """Whether the engine of a slot has loaded its weights: some seconds before it answers."""
    log = served.lab.root / "logs" / f"tiny-{slot}.log"
    return log.exists() and "Loading weights took" in log.read_text(errors="replace")


def run(served: Served, *words: str) -> tuple[int, str]:
    """Run a command; return its exit code and all that it says."""
    with start(served, *words) as command:
        code = command.end(600)
    print(command.said)
    return code, command.said


def start(served: Served, *words: str) -> AbstractContextManager[Command]:
    """Run a command beside the test."""
    return beside([*TOOLKIT, *words], {**os.environ, **served.lab.environment})


def running_step(served: Served) -> str:
    """Return the kind of the step at which an unfinished deployment is, empty without one."""
    unfinished = json.loads(served.lab.toolkit("status", "--json"))["unfinished"]
    return unfinished[0]["steps"][-1]["kind"] if unfinished and unfinished[0]["steps"] else ""


def kill_engine(served: Served, version: str) -> None:
    """Kill the processes of the replica that runs a version."""
    seen = json.loads(served.lab.toolkit("status", "--json"))["slots"]
    slot = next(each for each in seen if each["release"]["version"] == version)
    found = subprocess.run(
        ["pgrep", "-f", f"serve .* --port {slot['port']}"], capture_output=True, text=True
    )
    for pid in found.stdout.split():
        # The end of one of them may be the end of the others.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def starts(served: Served) -> list[float | None]:
    """Return when the process of each slot started."""
    seen = json.loads(served.lab.toolkit("status", "--json"))["slots"]
    return [slot["started_at"] for slot in seen]


def asked_of(served: Served, model: str, prompt: str) -> str:
    """Return the answer of one model or adapter."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0}
    request = urllib.request.Request(
        f"{served.lab.base_url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: str = json.load(response)["choices"][0]["message"]["content"]
    return answer


def get(url: str) -> dict[str, list[dict[str, str]]]:
    """Return the JSON of an answer."""
    with urllib.request.urlopen(url, timeout=30) as response:
        found: dict[str, list[dict[str, str]]] = json.load(response)
    return found


def post(url: str, body: object) -> None:
    """Send JSON; raises HTTPError where it is refused."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=30).close()
