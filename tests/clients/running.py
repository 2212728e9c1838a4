"""Install the clients' libraries and run their programs against a router."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.lab import free_port, wait_for_port
from tests.clients.table import Client, Outcome
from tests.programs import end

HERE = Path(__file__).parent
# Each client is slow to start on a machine that does more.
SECONDS = 300


@dataclass(frozen=True)
class Libraries:
    """The place with the clients' libraries: an environment of Python, and the modules of Node."""

    place: Path

    @property
    def python(self) -> Path:
        """The environment's Python."""
        return self.place / "python" / "bin" / "python"

    def command(self, client: Client) -> list[str]:
        """Return the command that runs the program of a client."""
        engine = "node" if client.program.endswith(".mjs") else str(self.python)
        return [engine, str(self.place / "programs" / client.program)]


def install(place: Path) -> Libraries:
    """Install what the locks name into `place`; the programs stand beside the modules, where Node looks for them."""
    uv = Path(sys.executable).with_name("uv")
    _run([uv, "venv", "--quiet", "--python", sys.executable, "--no-project", place / "python"])
    _run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes",
         "--python", place / "python", "-r", HERE / "requirements.lock"]
    )  # fmt: skip
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, place)
    _run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], place)
    shutil.copytree(HERE / "programs", place / "programs")
    return Libraries(place)


def _run(command: list[str | Path], place: Path | None = None) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


# LiteLLM otherwise fetches a list of prices as it is imported.
LITELLM = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}


@dataclass(frozen=True)
class Door:
    """Where the clients ask: the router's address, a key of it, the model, the prompt, and the origin of a page."""

    router: str
    key: str
    model: str
    prompt: str
    origin: str

    def environment(self) -> dict[str, str]:
        """Return the environment of a program."""
        fields = {name.upper(): getattr(self, name) for name in self.__dataclass_fields__}
        return {**os.environ, **fields, **LITELLM}


def cells(libraries: Libraries, client: Client, door: Door) -> dict[str, Outcome]:
    """Run all cells of a client once; return column -> outcome."""
    done = subprocess.run(
        libraries.command(client),
        env=door.environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {result.pop("cell"): Outcome(**result) for result in results}


@dataclass
class Loop:
    """A client that asks again and again; `outcomes` grows until it ends. What it complains of goes into `log`."""

    process: subprocess.Popen[str]
    log: Path
    outcomes: list[Outcome] = field(default_factory=list)

    def read(self) -> None:
        """Read outcomes until the program ends."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("{"):
                result = json.loads(line)
                del result["cell"]
                self.outcomes.append(Outcome(**result))

    def so_far(self) -> int:
        """Return the number of outcomes; raises AssertionError, with what the program said, where it has ended."""
        code = self.process.poll()
        assert code is None, (
            f"{self.process.args} ended with {code}\n{self.log.read_text(errors='replace')[-3000:]}"
        )
        return len(self.outcomes)


@contextmanager
def loop(libraries: Libraries, client: Client, door: Door) -> Iterator[Loop]:
    """Let a client ask until the block ends."""
    log = libraries.place / f"{client.program}-{secrets.token_hex(4)}.log"
    with log.open("w") as complaints:
        process = subprocess.Popen(
            [*libraries.command(client), "loop"],
            env=door.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
    running = Loop(process, log)
    reader = threading.Thread(target=running.read)
    reader.start()
    try:
        yield running
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        assert process.stdout
        process.stdout.close()


@contextmanager
def litellm_proxy(libraries: Libraries, door: Door) -> Iterator[Door]:
    """Run LiteLLM's proxy before the router; yields the door that a client of the proxy sees."""
    port, key = free_port(19400), f"sk-{secrets.token_hex(32)}"
    settings = libraries.place / "litellm.yaml"
    parameters = {
        "model": "hosted_vllm/*",
        "api_base": f"{door.router}/v1",
        "api_key": "os.environ/KEY",
    }
    settings.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": "*", "litellm_params": parameters}],
                "litellm_settings": {"num_retries": 0, "telemetry": False},
            }
        )
    )
    process = subprocess.Popen(
        [libraries.python.with_name("litellm"), "--config", settings, "--host", "127.0.0.1",
         "--port", str(port)],
        env={**door.environment(), "LITELLM_MASTER_KEY": key},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port, process, SECONDS)
        yield Door(f"http://127.0.0.1:{port}", key, door.model, door.prompt, "")
    finally:
        end(process)
