"""The process that runs a playbook: one JSON request on standard input, ansible-runner's events as JSON lines.

It ends its playbook as soon as standard input closes, which is what happens when the toolkit's command is killed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the playbook of the request and report how it ended."""
    request = json.loads(sys.stdin.readline())
    hung_up = threading.Event()
    threading.Thread(target=_listen, args=(hung_up,), daemon=True).start()

    import ansible_runner

    private = Path(request["private_data_dir"])
    result = ansible_runner.run(
        private_data_dir=str(private),
        playbook=request["playbook"],
        inventory=request["inventory"],
        extravars=request["extravars"],
        cmdline=request["cmdline"] or None,
        envvars=_ansible_settings(private),
        settings={"pexpect_timeout": 0.05, "suppress_ansible_output": True},
        quiet=True,
        event_handler=_emit,
        cancel_callback=hung_up.is_set,
    )
    ok = result.status == "successful"
    # A failed task was reported by its event already; anything else has only its status to show.
    failure = "" if ok or (result.status == "failed" and result.stats) else _last_words(result)
    _emit({"event": "ended", "event_data": {"failure": failure}})
    sys.exit(0 if ok else 1)


def _ansible_settings(private: Path) -> dict[str, str]:
    return {
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_HOST_KEY_CHECKING": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        "ANSIBLE_HOME": str(private / "home"),
        "ANSIBLE_NOCOLOR": "1",
    }


def _emit(event: dict[str, Any]) -> bool:
    sys.stdout.write(json.dumps(event, default=str) + "\n")
    sys.stdout.flush()
    # False: ansible-runner need not write the event to disk as well.
    return False


def _listen(hung_up: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    hung_up.set()


def _last_words(result: Any) -> str:
    try:
        lines = [line for line in result.stdout.read().splitlines() if line.strip()]
    except (OSError, ValueError, AttributeError):
        lines = []
    errors = [line for line in lines if "ERROR" in line or "error" in line]
    return f"Ansible {result.status}: {(errors or lines or [''])[-1]}"


if __name__ == "__main__":
    main()
