"""The watch of a host as a process of its own, with a double for the process supervisor: ROOT, {program: pid} and the
seconds between two looks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "toolkit/hostside"))

import processes
import watch

pids: dict[str, int] = json.loads(sys.argv[2])


def state(_: str, program: str) -> dict[str, object]:
    alive = Path(f"/proc/{pids[program]}").exists()
    return {
        "state": "running" if alive else "failed",
        "pid": pids[program] * alive,
        "started_at": None,
    }


processes.state = state
processes.init_system = lambda: "systemd"
watch.TICK = float(sys.argv[3])
watch.main([sys.argv[1], "8", "600"])
