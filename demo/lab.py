"""The lab: directories, registry, model and mirror of the demo. The system tests use it as well."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TOOLKIT = [sys.executable, "-m", "toolkit.cli.main"]
REGISTRY = """\
policy:
  licences:
    allowed: [apache-2.0]
models:
  {model}:
    description: A very small model that tells its version.
    licence: apache-2.0
    openness: fully-open
    source: {source}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 3GiB}}
    serving: {{max-model-len: 1024, enforce-eager: true, max-num-seqs: 16}}
    # Two replicas share the machine during an upgrade, and a model this small gains nothing from more threads.
    env: {{VLLM_CPU_KVCACHE_SPACE: "1", OMP_NUM_THREADS: "1"}}
    checks:
      - prompt: Which version are you?
        contains: I am version
"""


def registry_text(model: str, source: str) -> str:
    """Return a registry with one model that has no version yet."""
    return REGISTRY.format(model=model, source=source)


def free_port(wanted: int) -> int:
    """Return the first free port on loopback from `wanted` on."""
    for port in range(wanted, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {wanted} on")


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Return once the port on loopback accepts connections; raises RuntimeError where the process ends before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port} after {seconds} s")


class Lab:
    """A lab with the ops machine's files in `directory`, the host's in `root`, and the router at loopback's `port`."""

    def __init__(self, directory: Path, root: Path, port: int, model: str) -> None:
        self.directory, self.root, self.port, self.model = directory, root, port, model
        self.registry = directory / "model_registry.yaml"
        self.upstream = directory / "upstream"
        self.upstream_registry = self.upstream / "model_registry.yaml"
        self.base_url = f"http://127.0.0.1:{port}"
        self.environment = {
            "TOOLKIT_HOME": str(directory / "home"),
            # An empty value keeps the lab out of the user's own history.
            "TOOLKIT_HISTORY": "",
            "TOOLKIT_FLEET": str(directory / "fleet.yaml"),
            "TOOLKIT_REGISTRY": str(self.registry),
        }
        directory.mkdir(parents=True, exist_ok=True)

    def toolkit(self, *words: str, show: bool = False, check: bool = True, **more: str) -> str:
        """Run a toolkit command with `more` environment variables; return its standard output."""
        if show:
            print(f"$ toolkit {shlex.join(words)}", flush=True)
        done = subprocess.run(
            [*TOOLKIT, *words],
            env={**os.environ, **self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=None if show else subprocess.PIPE,
            text=True,
            check=False,
        )
        if show and done.stdout:
            print(done.stdout, end="", flush=True)
        if check and done.returncode:
            raise SystemExit(
                f"toolkit {shlex.join(words)} ended with {done.returncode}\n{done.stderr or ''}"
            )
        return done.stdout

    def write_fleet(self) -> None:
        """Write the inventory: this machine, with directories and ports of its own."""
        metrics = free_port(self.port + 1000)
        (self.directory / "fleet.yaml").write_text(
            "all:\n  hosts:\n    localhost:\n      ansible_connection: local\n"
            f"      toolkit_root: {self.root}\n"
            f"      router_bind: 127.0.0.1:{self.port}\n"
            f"      router_metrics_bind: 127.0.0.1:{metrics}\n"
            f"      toolkit_port_base: {self.port + 100}\n"
        )
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        path = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
        (self.directory / "env").write_text("\n".join([*lines, path, ""]))

    def make_model(self, *variants: str) -> dict[str, dict[str, str]]:
        """Train the variants with the installed engine's Python; return prompt -> version -> answer."""
        answers = self.upstream / "answers.json"
        if not all((self.upstream / each).is_dir() for each in variants) or not answers.exists():
            python = next((self.root / "engines").glob("*/bin/python"))
            subprocess.run(
                [python, HERE / "make_model.py", self.upstream, "--variants", *variants],
                check=True,
                stdout=sys.stderr,
            )
        known: dict[str, dict[str, str]] = json.loads(answers.read_text())
        # A variant that an engine cannot load has no answers.
        variants = tuple(each for each in variants if each in known)
        prompts = known[variants[0]]
        return {prompt: {each: known[each][prompt] for each in variants} for prompt in prompts}

    def publish(self, *variants: str) -> dict[str, str]:
        """Pin and pull each variant as a version of a model made in house; return variant -> revision.

        All variants pass through one directory, like a model that is trained repeatedly. A mirror can then serve them.
        """
        directory = self.upstream / "model"
        if not self.upstream_registry.exists():
            self.upstream_registry.write_text(registry_text(self.model, "{path: ./model}"))
        revisions = {}
        for variant in variants:
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(self.upstream / variant, directory)
            self.toolkit("registry", "pin", self.model, "--as", variant, **self._upstream())
            self.toolkit("pull", f"{self.model}@{variant}", **self._upstream())
            shown = self.toolkit("registry", "show", self.model, "--json", **self._upstream())
            versions = {each["name"]: each["revision"] for each in json.loads(shown)["versions"]}
            revisions[variant] = versions[variant]
        return revisions

    def write_registry(self) -> None:
        """Write the registry of the ops machine. Its model comes from a Hub."""
        self.registry.write_text(registry_text(self.model, f"{{repo: local/{self.model}}}"))

    @contextmanager
    def mirror(self) -> Iterator[str]:
        """Serve the published versions under the Hub's API; yields the endpoint, which all commands use meanwhile."""
        port = free_port(self.port + 50)
        endpoint = f"http://127.0.0.1:{port}"
        command = [*TOOLKIT, "mirror", "--bind", f"127.0.0.1:{port}"]
        with (self.upstream / "mirror.log").open("w") as log:
            process = subprocess.Popen(
                command, env={**os.environ, **self._upstream()}, stdout=log, stderr=log
            )
        try:
            wait_for_port(port, process)
            self.environment["HF_ENDPOINT"] = endpoint
            yield endpoint
        finally:
            self.environment.pop("HF_ENDPOINT", None)
            process.terminate()
            process.wait(timeout=60)

    def ask(self, prompt: str) -> str:
        """Return the router's answer to one prompt."""
        request = urllib.request.Request(
            f"{self.base_url}/v1/chat/completions",
            json.dumps(self._body(prompt)).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: str = json.load(response)["choices"][0]["message"]["content"]
        return answer

    def curl(self, prompt: str) -> str:
        """Return a command line that sends the same request as `ask`."""
        return (
            f"curl -s {self.base_url}/v1/chat/completions -H 'Content-Type: application/json' "
            f"-d {shlex.quote(json.dumps(self._body(prompt)))}"
        )

    def _body(self, prompt: str) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
        }

    def _upstream(self) -> dict[str, str]:
        return {
            "TOOLKIT_HOME": str(self.upstream / "home"),
            "TOOLKIT_HISTORY": "",
            "TOOLKIT_REGISTRY": str(self.upstream_registry),
        }


def end_supervisor(root: Path) -> None:
    """End the supervisord of `root` with its processes, if one runs."""
    try:
        pid = int((root / "supervisor" / "supervisord.pid").read_text())
        if str(root) not in Path(f"/proc/{pid}/cmdline").read_text():
            return
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        return
    until = time.monotonic() + 90
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.1)
