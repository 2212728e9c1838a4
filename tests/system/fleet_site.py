"""A fleet of whole hosts that serves the model `tiny`, as its clients and `toolkit status` see it."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.fleet.lab import FleetLab

MODEL = "tiny"
# Clients come from outside the hosts.
DOOR = {
    "router_bind": '"*:8080"',
    "router_metrics_bind": '"*:8405"',
    "toolkit_metrics_from": "[10.77.0.0/16]",
}


@dataclass(frozen=True)
class Site:
    """The fleet; what it serves is the business of those that are a site."""

    lab: FleetLab

    def door(self, host: str) -> str:
        """Return the base URL of the router of one host."""
        return f"http://{self.lab[host].address}:8080"

    def ask(self, host: str, prompt: str, **more: Any) -> Any:
        """Return the whole answer of one host's router to a prompt at temperature 0."""
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            **more,
        }
        request = urllib.request.Request(
            f"{self.door(host)}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def serving(self) -> dict[str, list[str]]:
        """Return the versions with traffic, by host, as `toolkit status` has them."""
        found: dict[str, list[str]] = {}
        for slot in self.status()["slots"]:
            if slot["weight"] and slot["healthy"]:
                found.setdefault(slot["host"], []).append(slot["release"]["version"])
        return found

    def status(self) -> Any:
        return json.loads(self.lab.toolkit("status", "--json", check=False).stdout)
