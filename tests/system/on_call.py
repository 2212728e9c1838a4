"""A real Prometheus and a real Alertmanager on loopback, with the files that `toolkit metrics setup` writes."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.fleet.machine import Machine
from tests.hostside.router_lab import free_port
from tests.pace import Pace
from tests.system.beside import Command, beside
from tests.system.waiting import until

# A person's receiver would wait for more alerts of a group; what is measured here is ours.
_ALERTMANAGER = """\
route:
  receiver: on-call
  group_by: [alertname, model, host]
  group_wait: 5s
  group_interval: 10s
receivers:
  - name: on-call
    webhook_configs: [{{url: "http://127.0.0.1:{port}/"}}]
"""


@dataclass
class OnCall:
    """Who is told: the alerts that reached the webhook, each with the time of its first coming."""

    prometheus: str
    told: dict[tuple[str, str], tuple[float, dict[str, Any]]] = field(default_factory=dict)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return what Prometheus answers to an instant query."""
        text = urllib.parse.urlencode({"query": expr})
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/query?{text}", timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    @property
    def pages(self) -> list[tuple[str, str]]:
        """The alerts that call a person, by name and host."""
        told = [*self.told.items()]
        return [key for key, (_, alert) in told if alert["labels"]["severity"] == "page"]


def outage_is_told(called: OnCall, lost: Machine, unit: str, pace: Pace) -> None:
    """Stop the unit of a replica on the host `lost` until the webhook has its alert, which takes at most 90 s."""
    lost.run("systemctl", "stop", unit)
    planted, began, key = time.time(), pace(), ("ToolkitReplicaDown", lost.name)
    until(lambda: [*called.told], 240, lambda told: key in told)
    assert pace() - began <= 90
    came, alert = called.told[key]
    print(f"{came - planted:.1f} s from the outage to the webhook")
    assert key in called.pages
    assert alert["annotations"]["runbook_url"].endswith("#toolkitreplicadown")
    lost.run("systemctl", "start", unit)


@contextmanager
def on_call(directory: Path, alertmanager: int) -> Iterator[OnCall]:
    """Run both with the files in `directory`, which tell the Alertmanager at port `alertmanager`."""
    port, hook = free_port(), free_port()
    made = OnCall(f"http://127.0.0.1:{port}")
    with ExitStack() as stack:
        stack.enter_context(_webhook(hook, made))
        settings = directory / "alertmanager.yml"
        settings.write_text(_ALERTMANAGER.format(port=hook))
        sends = [
            "prometheus-alertmanager",
            f"--config.file={settings}",
            f"--storage.path={directory}/alerts",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ]
        scrapes = [
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        for words, door in ((sends, alertmanager), (scrapes, port)):
            command = stack.enter_context(beside(words, os.environ))
            url = f"http://127.0.0.1:{door}/-/ready"
            until(partial(_ready, url, command), 60, lambda said: said == "ready")
        yield made


def _ready(url: str, command: Command) -> str:
    """Return `ready`, or why not; raises AssertionError where the program has ended."""
    command.goes_on()
    try:
        with urllib.request.urlopen(url, timeout=5):
            return "ready"
    except OSError as error:
        return f"{error}\n{command.said}"


@contextmanager
def _webhook(port: int, made: OnCall) -> Iterator[None]:
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Note the alerts of a message."""
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in message["alerts"]:
                labels = alert["labels"]
                if alert["status"] == "firing":
                    key = (labels["alertname"], labels.get("host", ""))
                    made.told.setdefault(key, (time.time(), alert))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Hook)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
